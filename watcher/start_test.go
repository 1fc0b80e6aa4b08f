package watcher

import (
	"maps"
	"slices"
	"testing"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestStart(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	running, paused, exited := f.s.Run(ours("web")), f.s.Run(ours("frozen")), f.s.Run(ours("dead"))
	restarting := f.s.Run(dockertest.Spec{Name: "restarting", Labels: map[string]string{"eru.health.http.port": "80"}, RestartPolicy: "always"})
	created := f.s.Create(ours("created"))
	other := f.s.Run(dockertest.Spec{Name: "other", Labels: map[string]string{"ERU": "0"}})
	f.s.Pause(paused.ID)
	f.s.Die(exited.ID, 3)
	f.s.Die(restarting.ID, 4)
	f.s.ForgetEvents()
	f.run()

	listed := f.next()
	want := map[string]bool{running.ID: true, paused.ID: true, exited.ID: false, restarting.ID: false}
	if listed.Kind != Listed || !maps.Equal(listed.Present, want) {
		t.Errorf("first %s of %v, want listed of %v", describe(listed), listed.Present, want)
	}
	var told []string
	for e := f.next(); e.Kind != Synced; e = f.next() {
		told = append(told, describe(e))
	}
	slices.Sort(told)
	if want := []string{"exited dead 3", "exited restarting 4", "running frozen 127.17.0.3 paused", "running web 127.17.0.2"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if n := f.s.Requests(dockertest.Inspect); n != 4 {
		t.Errorf("%d inspects, want one for each of ours that ever ran", n)
	}
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections by the first listing", n)
	}
	if n := f.s.Requests(dockertest.List); n != 1 {
		t.Errorf("%d listings", n)
	}

	f.s.Start(created.ID)
	f.expect(Running, created.ID)
	f.s.Stop(other.ID)
	f.s.Start(other.ID)
	f.fence = running.ID
	f.tells()
}

func TestStartWithNothing(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).run()
	if e := f.next(); e.Kind != Listed || len(e.Present) != 0 {
		t.Errorf("%s of %v", describe(e), e.Present)
	}
	if e := f.next(); e.Kind != Synced {
		t.Errorf("%s, want synced", describe(e))
	}
}

// What happens between the subscription and the listing is told once.
func TestSubscribeThenList(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.fence = f.s.Run(ours("fence")).ID
	f.s.Hang(dockertest.List)
	f.run()
	f.must(f.s.AwaitRequests(f.soon(), dockertest.List, 1))
	f.must(f.s.AwaitStreams(f.soon(), 1))
	f.expect(Running, f.fence) // what came shortly before is replayed
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.BeginStop(web.ID)
	f.expect(Stopping, web.ID)
	f.s.Die(web.ID, 0)
	f.expect(Exited, web.ID)
	f.s.Unhang(dockertest.List)
	f.until(Synced, "")
	f.tells()
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
}

// The server answers before it has subscribed; since closes that gap.
func TestSubscribedAfterTheAnswer(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.fence = f.s.Run(ours("fence")).ID
	f.s.Hang(dockertest.Subscribing)
	f.run()
	f.until(Synced, "")
	web := f.s.Run(ours("web"))
	f.s.Unhang(dockertest.Subscribing)
	f.expect(Running, web.ID)
	f.tells()
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
}

func TestSelector(t *testing.T) {
	for _, test := range []struct {
		filters []string
		labels  map[string]string
		want    bool
	}{
		{nil, map[string]string{"ERU": "1"}, true},
		{nil, map[string]string{"ERU": "0"}, false},
		{nil, map[string]string{"eru": "1"}, false},
		{nil, map[string]string{"eru.health.tcp.ports": "1"}, true},
		{nil, map[string]string{"eru.healthy": "1"}, false},
		{nil, map[string]string{"eru.app": "a"}, false},
		{nil, nil, false},
		{[]string{}, nil, true},
		{[]string{"a"}, map[string]string{"a": ""}, true},
		{[]string{"a"}, map[string]string{"b": "a", "ERU": "1"}, false},
		{[]string{"a=b"}, map[string]string{"a": "b"}, true},
		{[]string{"a=b"}, map[string]string{"a": "bc"}, false},
		{[]string{"a="}, map[string]string{"a": "b"}, false},
		{[]string{"a=b=c"}, map[string]string{"a": "b=c"}, true},
		{[]string{"a", "c=d"}, map[string]string{"a": "1", "c": "d"}, true},
		{[]string{"a", "c=d"}, map[string]string{"a": "1", "c": "e"}, false},
		{[]string{"a", "c=d"}, map[string]string{"c": "d"}, false},
	} {
		if got := selector(test.filters)(test.labels); got != test.want {
			t.Errorf("%q of %v: %v", test.filters, test.labels, got)
		}
	}
}

// An event's own attributes stand among the labels; only inspect tells which
// are which.
func TestSelectWhatEventsHide(t *testing.T) {
	labelled := func(name string, labels map[string]string) dockertest.Spec {
		return dockertest.Spec{Name: name, Image: "shop", Labels: labels}
	}
	f := newFixture(t, dockertest.Config{}, "image=shop")
	f.fence = f.s.Run(labelled("fence", map[string]string{"image": "shop"})).ID
	f.run()
	f.until(Synced, "")
	f.s.Run(labelled("pretends", nil))
	f.tells()

	g := newFixture(t, dockertest.Config{}, "name=shop")
	g.fence = g.s.Run(labelled("fence", map[string]string{"name": "shop"})).ID
	g.run()
	g.until(Synced, "")
	web := g.s.Run(labelled("web", map[string]string{"name": "shop"}))
	g.expect(Running, web.ID)
}

func TestSelectEveryContainer(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.w = New(Config{Endpoint: f.s.Endpoint(), Select: []string{}}, f.w.log, f.w.metrics)
	a := f.s.Run(dockertest.Spec{Name: "a"})
	f.run()
	f.until(Running, a.ID)
	f.expect(Synced, "")
	f.expect(Running, f.s.Run(dockertest.Spec{Name: "b"}).ID)
}
