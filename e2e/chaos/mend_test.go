package chaos

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// mend ends everything that is broken: Docker answers and tells, etcd is there, and one agent runs.
func (w *world) mend() {
	w.mendDocker()
	w.mendEtcd()
	if w.stopped {
		w.agent.Signal(syscall.SIGCONT)
		w.stopped = false
	}
	if w.agent == nil {
		w.startAgent()
	}
	w.awaitOne()
	if w.marred { // else the agent would see it within a minute
		w.crash(step{})
	}
}

// awaitOne returns once only one agent runs. Of two that ran at a time either may be the one: the last to claim the node is
// its owner, and while etcd is away neither can.
func (w *world) awaitOne() {
	all := append(slices.Clone(w.older), w.agent)
	rig.Await(w.t, "all agents but one to end", func() error {
		var left []*rig.Agent
		for _, a := range all {
			if !ended(a) {
				left = append(left, a)
			}
		}
		if len(left) == 0 {
			w.t.Fatalf("the last agent has ended")
		}
		if len(left) > 1 {
			return fmt.Errorf("%d run", len(left))
		}
		w.agent = left[0]
		return nil
	})
	w.older = nil
}

// ended says whether the process is gone.
func ended(a *rig.Agent) bool { return syscall.Kill(a.Pid(), 0) != nil }
