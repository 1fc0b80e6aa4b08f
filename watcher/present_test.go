package watcher

import (
	"maps"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestListedStates(t *testing.T) {
	for state, want := range map[string]listed{
		container.StateCreated: {}, container.StateRunning: {running: true}, container.StatePaused: {running: true, paused: true},
		container.StateRestarting: {exited: true}, container.StateExited: {exited: true}, container.StateDead: {exited: true},
		container.StateRemoving: {exited: true},
	} {
		if l := listedOf(container.Summary{State: state}); l.running != want.running || l.exited != want.exited || l.paused != want.paused {
			t.Errorf("%s: %+v", state, l)
		}
	}
}

// A listing errs towards running.
func TestPresent(t *testing.T) {
	ourOwn := map[string]string{"ERU": "1"}
	k := newKeeper(newFixture(t, dockertest.Config{}).w)
	k.known = map[string]*record{
		"told":           {phase: phaseRunning},
		"told, unlisted": {phase: phaseRunning},
		"starts":         {phase: phaseExited, asking: true},
		"comes":          {asking: true},
		"other":          {asking: true},
		"looked at":      {phase: phaseExited, asking: true, relist: true},
		"dead":           {phase: phaseExited},
	}
	dead := listed{exited: true, labels: ourOwn}
	got := k.present(map[string]listed{
		"runs": {running: true, labels: ourOwn}, "created": {labels: ourOwn}, "other": {running: true},
		"told": dead, "starts": dead, "comes": dead, "looked at": dead, "dead": dead,
	})
	want := map[string]bool{"runs": true, "told": true, "told, unlisted": true, "starts": true, "comes": true, "looked at": false, "dead": false}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// One container about which Docker does not answer keeps nothing else waiting.
func TestSyncedWithoutOne(t *testing.T) {
	for name, fault := range map[string]func(s *dockertest.Server, endpoint string){
		"fails": func(s *dockertest.Server, endpoint string) { s.Fail(endpoint, 500) },
		"hangs": (*dockertest.Server).Hang,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dockertest.Config{})
			web, other := f.s.Run(ours("web")), f.s.Run(ours("other"))
			endpoint := "/containers/" + web.ID + "/json"
			fault(f.s, endpoint)
			f.run()
			f.until(Running, other.ID)
			f.expect(Synced, "")
			if f.said("counts as complete without it") != 1 || f.said(web.ID) == 0 || f.said("web") == 0 {
				t.Errorf("said: %v", f.logs.All())
			}
			f.s.Fail(endpoint, 0)
			f.s.Unhang(endpoint)
			f.expect(Running, web.ID)
		})
	}
}

// A daemon that goes away is not a container's fault.
func TestNotSyncedWithoutDocker(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.s.Hang(dockertest.Inspect)
	f.run()
	f.expect(Listed, "")
	f.s.Down()
	f.await("it is said", func() bool { return f.said("does not tell about a container; what is known") > 0 })
	f.s.Unhang(dockertest.Inspect)
	f.s.Up()
	f.expect(Running, web.ID)
	f.expect(Synced, "")
}
