package watcher

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// truth reads events until what was told last of each container is what Docker
// holds.
func (f *fixture) truth() {
	f.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		wrong := f.compare()
		if wrong == "" {
			return
		}
		select {
		case e := <-f.w.Events():
			f.note(e)
		case <-timeout.C:
			f.Fatalf("still wrong: %s", wrong)
		}
	}
}

func (f *fixture) note(e Event) {
	switch e.Kind {
	case Running, Exited:
		f.told[e.ID] = e
	case Removed:
		delete(f.told, e.ID)
	}
}

func (f *fixture) compare() string {
	all := f.s.Containers()
	for _, c := range all {
		e, ok := f.told[c.ID]
		running := c.Status == "running" || c.Status == "paused"
		switch {
		case !f.w.ours(c.Labels) || c.Starts == 0:
			if ok {
				return c.Name + " is not ours, or was never started"
			}
			all = slices.DeleteFunc(all, func(o dockertest.Container) bool { return o.ID == c.ID })
		case !ok:
			return c.Name + " was never told of"
		case running != (e.Kind == Running), !e.Container.Started.Equal(c.StartedAt):
			return fmt.Sprintf("%s is %s since %v, told %s of %v", c.Name, c.Status, c.StartedAt, describe(e), e.Container.Started)
		case running && (e.Container.Paused != (c.Status == "paused") || e.Container.Name != c.Name):
			return fmt.Sprintf("%s is %s, told %s", c.Name, c.Status, describe(e))
		case running && e.Container.Addr.String() != c.Networks["bridge"]:
			return fmt.Sprintf("%s is at %v, told %v", c.Name, c.Networks, e.Container.Addr)
		}
	}
	if len(f.told) != len(all) {
		return fmt.Sprintf("%d containers, told of %d", len(all), len(f.told))
	}
	return ""
}

// child is a real process, to stand for a container's.
type child struct {
	*exec.Cmd
	pid int
}

func newChild(t *testing.T) *child {
	t.Helper()
	c := &child{Cmd: exec.Command("sleep", "1000")}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = c.Process.Pid
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	if c.ProcessState == nil {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}
