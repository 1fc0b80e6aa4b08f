package status

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// told is a View that is told by a test what etcd says, in a bubble.
func viewTold(t *testing.T, cfg ViewConfig, log *zap.Logger) *View {
	t.Helper()
	v := NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), cfg, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { v.keepTime(ctx); done <- struct{}{} }()
	go func() { v.keepCopy(ctx); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	return v
}

func (v *View) put(revision int64, id string, state State) {
	k := Key{App: "shop", Entrypoint: "web", Node: "n1", ID: id}
	v.watched(revision, []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{
		Key: []byte(v.store.keys.container(k)), Value: Status{ID: id, State: state}.Encode(uint64(revision)), ModRevision: revision}}})
}

func (v *View) ready() []string {
	var ids []string
	for _, s := range v.Services() {
		for _, srv := range s.Servers {
			if srv.Use == UseReady {
				ids = append(ids, srv.Key.ID)
			}
		}
	}
	return ids
}

// TestHoldEnds holds that a set changes by the clock alone, and that this is
// said.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := viewTold(t, ViewConfig{Hold: 5 * time.Second}, zap.NewNop())
		for i, state := range []State{StateHealthy, StateUnhealthy, StateHealthy} {
			v.put(int64(3*i+1), "a", StateHealthy)
			v.put(int64(3*i+2), "b", state)
		}
		v.put(20, "c", StateStarting)
		synctest.Wait()
		<-v.Changed()
		if got := v.ready(); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("during the hold: %v", got)
		}
		begin := time.Now()
		<-v.Changed()
		if got, took := v.ready(), time.Since(begin); !slices.Equal(got, []string{"a", "b"}) || took != 5*time.Second {
			t.Errorf("after %s: %v", took, got)
		}
	})
}

// TestCopySeldom holds that the copy is written at once, and then once a second at
// most, with what is newest then.
func TestCopySeldom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "copy.json")
	synctest.Test(t, func(t *testing.T) {
		v := viewTold(t, ViewConfig{File: file}, zap.NewNop())
		var before os.FileInfo
		written := func() bool {
			synctest.Wait()
			now, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { before = now }()
			return !os.SameFile(before, now)
		}
		v.put(1, "a", StateHealthy)
		if !written() {
			t.Error("not written at once")
		}
		for ms := range 2500 {
			v.put(int64(2+ms), "a", StateHealthy)
			if written() != (ms == 1000 || ms == 2000) {
				t.Errorf("after %d ms: written or not", ms)
			}
			<-time.After(time.Millisecond)
		}
		<-time.After(time.Minute)
		if !written() || v.document().Revision != 2501 {
			t.Error("the last is not written")
		}
		<-time.After(time.Minute)
		if written() {
			t.Error("written although nothing has changed")
		}
	})
}

// TestCopyFails holds that a disk which takes no copy is said once, and changes
// nothing else.
func TestCopyFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not yet")
	core, logged := observer.New(zapcore.WarnLevel)
	synctest.Test(t, func(t *testing.T) {
		v := viewTold(t, ViewConfig{File: filepath.Join(dir, "copy.json")}, zap.New(core))
		for n := range 10 {
			v.put(int64(n+1), fmt.Sprint(n), StateHealthy)
			<-time.After(time.Second)
		}
		if len(v.ready()) != 10 || logged.Len() != 1 {
			t.Errorf("%v, said %v", v.ready(), logged.All())
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		v.put(11, "a", StateHealthy)
		<-time.After(time.Second)
		if _, err := os.Stat(v.cfg.File); err != nil || logged.Len() != 1 {
			t.Errorf("%v, said %v", err, logged.All())
		}
	})
}
