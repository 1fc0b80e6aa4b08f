package etcdtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsDataAndPorts(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"embedded": etcdtest.Start, "process": etcdtest.StartProcess} {
		t.Run(name, func(t *testing.T) {
			s := start(t, etcdtest.WithTLS(etcdtest.NewAuthority(t)), etcdtest.WithAuth(etcdtest.Role{User: "u", Password: "p", Prefix: "/p/"}))
			endpoint := s.Endpoint()
			if _, err := s.Client().Put(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			s.Restart()
			resp, err := s.Client().Get(t.Context(), "k")
			if err != nil || len(resp.Kvs) != 1 || s.Endpoint() != endpoint {
				t.Errorf("after a restart: %v, %v at %s, was %s", resp, err, s.Endpoint(), endpoint)
			}
			s.Wipe()
			s.Restart()
			if resp, err = s.Client().Get(t.Context(), "k"); err != nil || len(resp.Kvs) != 0 {
				t.Errorf("after a wipe: %v, %v", resp, err)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	s := etcdtest.StartProcess(t)
	c := s.Client()
	s.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen server answered %v", err)
	}
	s.Thaw()
	if _, err := c.Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
}
