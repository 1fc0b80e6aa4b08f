package dockertest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	dockernetwork "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *dockertest.Server) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(s.Endpoint()), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNegotiation(t *testing.T) {
	for _, test := range []struct{ server, want string }{{"", "1.41"}, {"1.40", "1.40"}, {"1.51", "1.51"}, {"1.52", "1.51"}} {
		for _, tcp := range []bool{false, true} {
			s := dockertest.New(t, dockertest.Config{APIVersion: test.server, TCP: tcp})
			c := connect(t, s)
			if _, err := c.Info(deadline(t)); err != nil {
				t.Errorf("info from %q: %v", test.server, err)
			}
			if got := c.ClientVersion(); got != test.want {
				t.Errorf("negotiated %q with %q, want %q", got, test.server, test.want)
			}
			if v, err := c.ServerVersion(deadline(t)); err != nil || v.Version == "" {
				t.Errorf("version: %v, %v", v, err)
			}
		}
	}
	s := dockertest.New(t, dockertest.Config{APIVersion: "1.53", MinAPIVersion: "1.52"})
	if _, err := connect(t, s).Info(deadline(t)); err == nil {
		t.Error("a server that needs 1.52 serves a client of 1.51")
	}
}

func TestReadOnly(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	c := s.Run(dockertest.Spec{})
	if err := connect(t, s).ContainerStop(deadline(t), c.ID, dockercontainer.StopOptions{}); err == nil {
		t.Error("a POST was not refused")
	}
	if got := s.Refused(); got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
	if now, _ := s.Container(c.ID); now.Status != "running" {
		t.Errorf("container is %q", now.Status)
	}
}

func TestList(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	a := s.Run(dockertest.Spec{Name: "a", Labels: map[string]string{"ERU": "1", "x": "y"}})
	b := s.Run(dockertest.Spec{Name: "b", Networks: map[string]string{"v6": "fd00::2", "v4": ""}})
	s.Stop(s.Run(dockertest.Spec{Name: "c", Labels: map[string]string{"ERU": "1"}}).ID)
	for _, test := range []struct {
		name   string
		all    bool
		filter filters.Args
		want   string
	}{
		{"running", false, filters.NewArgs(), "ba"},
		{"all", true, filters.NewArgs(), "cba"},
		{"label", true, filters.NewArgs(filters.Arg("label", "ERU=1")), "ca"},
		{"labels", true, filters.NewArgs(filters.Arg("label", "ERU"), filters.Arg("label", "x=y")), "a"},
		{"id", false, filters.NewArgs(filters.Arg("id", a.ID)), "a"},
		{"short id", false, filters.NewArgs(filters.Arg("id", b.ID[:12])), "b"},
		{"unknown id", true, filters.NewArgs(filters.Arg("id", "0123")), ""},
	} {
		list, err := cli.ContainerList(ctx, dockercontainer.ListOptions{All: test.all, Filters: test.filter})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range list {
			got += c.Names[0][1:]
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if _, err := cli.ContainerList(ctx, dockercontainer.ListOptions{Filters: filters.NewArgs(filters.Arg("bad", "1"))}); err == nil {
		t.Error("an unknown filter was taken")
	}
}

func TestInspect(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	c := s.Run(dockertest.Spec{Networks: map[string]string{"v6": "fd00::2", "v4": ""}, RestartPolicy: "always", Pid: 42})
	got, err := cli.ContainerInspect(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	v4, v6 := got.NetworkSettings.Networks["v4"], got.NetworkSettings.Networks["v6"]
	if got.State.Pid != 42 || v4.IPAddress != "127.17.0.2" || v6.GlobalIPv6Address != "fd00::2" || v6.IPAddress != "" {
		t.Errorf("pid %d, v4 %+v, v6 %+v", got.State.Pid, v4, v6)
	}
	if n, err := cli.NetworkInspect(ctx, v4.NetworkID, dockernetwork.InspectOptions{}); err != nil || n.Name != "v4" || len(n.Containers) != 1 {
		t.Errorf("network %+v: %v", n, err)
	}

	s.Die(c.ID, 1)
	if got, err = cli.ContainerInspect(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	if st := got.State; st.Status != "restarting" || !st.Running || !st.Restarting || st.Pid != 0 || st.ExitCode != 1 {
		t.Errorf("between two lives: %+v", st)
	}
	s.NextLife(c.ID, dockertest.Life{Networks: map[string]string{"v6": "fd00::3"}, Pid: 43})
	s.Start(c.ID)
	next, err := cli.ContainerInspect(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if next.State.Pid != 43 || next.RestartCount != 1 || next.State.StartedAt <= got.State.StartedAt ||
		next.NetworkSettings.Networks["v6"].GlobalIPv6Address != "fd00::3" {
		t.Errorf("second life: %+v, %+v", next.State, next.NetworkSettings.Networks["v6"])
	}

	s.Remove(c.ID)
	if _, err := cli.ContainerInspect(ctx, c.ID); err == nil {
		t.Error("a removed container was found")
	}
}

func TestLag(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{DeathLag: -1})
	cli, ctx := connect(t, s), deadline(t)
	c := s.Run(dockertest.Spec{})
	s.Die(c.ID, 0)
	list, err := cli.ContainerList(ctx, dockercontainer.ListOptions{})
	if err != nil || len(list) != 1 || list[0].State != "running" || list[0].NetworkSettings.Networks["bridge"].IPAddress == "" {
		t.Fatalf("list during the lag: %+v, %v", list, err)
	}
	inspected := make(chan dockercontainer.InspectResponse)
	go func() {
		got, _ := cli.ContainerInspect(ctx, c.ID)
		inspected <- got
	}()
	if err := s.AwaitRequests(ctx, dockertest.Inspect, 1); err != nil {
		t.Fatal(err)
	}
	s.Settle("")
	if got := <-inspected; got.State == nil || got.State.Status != "exited" {
		t.Errorf("inspect after the lag: %+v", got.State)
	}
	if list, err = cli.ContainerList(ctx, dockercontainer.ListOptions{}); err != nil || len(list) != 0 {
		t.Errorf("list after the lag: %+v, %v", list, err)
	}
}

// read takes events off a stream until n have come.
func read(t *testing.T, ctx context.Context, messages <-chan events.Message, errs <-chan error, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		select {
		case m := <-messages:
			got = append(got, string(m.Action))
		case err := <-errs:
			t.Fatalf("stream ended after %v: %v", got, err)
		case <-ctx.Done():
			t.Fatalf("timed out after %v", got)
		}
	}
	return got
}

func sinceOf(m time.Time) string {
	return strconv.FormatInt(m.Unix(), 10) + "." + strconv.Itoa(1e9 + m.Nanosecond())[1:]
}
