package chaos

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// load is what an agent holds at one moment.
type load struct {
	goroutines, descriptors, series int
}

// measure reads it from the agent's metrics and from the kernel.
func measure(t testing.TB, a *rig.Agent) (load, error) {
	t.Helper()
	goroutines, err := a.Metric("go_goroutines")
	if err != nil {
		return load{}, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
	if err != nil {
		return load{}, err
	}
	series, err := a.Series()
	return load{int(goroutines), len(open), series}, err
}

// baseline is the agent's load while it is calm.
func baseline(t testing.TB, a *rig.Agent) load {
	t.Helper()
	var most load
	for range 5 { // probes come and go: the most of some looks
		now, err := measure(t, a)
		if err != nil {
			t.Fatal(err)
		}
		most = load{max(most.goroutines, now.goroutines), max(most.descriptors, now.descriptors), max(most.series, now.series)}
		<-time.After(100 * time.Millisecond)
	}
	return most
}

// spare is what a connection to Docker or etcd more or less, and the probes under way, may make of a difference.
const spare = 10

// flat waits until the agent holds no more than it did before the fault; what it goes on holding is a leak. Series may
// have become more by those that a fault counts for the first time.
func (r *row) flat(a *rig.Agent, before load) {
	r.t.Helper()
	late := time.After(20 * time.Second)
	for {
		now, err := measure(r.t, a)
		if err != nil {
			r.t.Fatal(err)
		}
		if now.goroutines <= before.goroutines+spare && now.descriptors <= before.descriptors+spare && now.series <= before.series+2*spare {
			return
		}
		select {
		case <-late:
			r.leaked("%+v, before %+v", now, before)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
