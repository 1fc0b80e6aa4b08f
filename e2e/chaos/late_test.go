package chaos

import (
	"encoding/json"
	random "math/rand/v2"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// record is the value of agent/<node>.
type record struct {
	Instance, Machine string
	Sequence          uint64
}

func owner(t testing.TB, e rig.Event) record {
	t.Helper()
	var o record
	if err := json.Unmarshal(e.Value, &o); err != nil {
		t.Errorf("reading the owner record at revision %d: %v: %s", e.Revision, err, e.Value)
	}
	return o
}

// TestPutLandsLate breaks one of two ways to etcd, or both, at random moments, for less and for more than a put may take:
// requests that arrive when the agent has long given them up and has written newer ones on the other way, and answers that
// never come.
func TestPutLandsLate(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "put that timed out lands later", server.name+", 25 fake")
			etcd := server.start(t)
			ways := ways{etcdtest.NewProxy(t, etcd.Address()), etcdtest.NewProxy(t, etcd.Address())}
			u := newUnrest(row, 25, "http://"+ways[0].Address()+",http://"+ways[1].Address(), clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
			u.away = 3 * time.Second // the longest fault, the put's timeout, and the longest wait before another attempt
			a := u.node.Start("--etcd.timeout", putTimeout.String()).AwaitReady()
			u.settle(time.Now())
			before := baseline(t, a)
			for i := range of(5, 110) {
				u.late(ways)
				row.injected(1)
				if i%10 == 9 || i == of(4, 109) {
					row.rightAfter(u.settle(time.Now()), 2*time.Second)
				}
			}
			u.nothingNew()
			u.succession()
			row.flat(a, before)
			timedOut, err := a.Metric("eru_agent_publish_errors_total")
			if err != nil || timedOut == 0 {
				t.Errorf("%v puts had no answer, %v; the faults were none", timedOut, err)
			}
			row.note("%d changes, %v puts without answer", u.changed, timedOut)
		})
	}
}

const putTimeout = 200 * time.Millisecond

// ways are two to one etcd.
type ways [2]*etcdtest.Proxy

// late is one fault of the ways, with changes before, under and after it.
func (u *unrest) late(w ways) {
	u.stir(random.N(300 * time.Millisecond))
	first := random.IntN(2)
	w.fail(first)
	u.stir(200*time.Millisecond + random.N(800*time.Millisecond))
	if random.IntN(4) == 0 {
		w.fail(1 - first)
		u.stir(random.N(500 * time.Millisecond))
	}
	w[random.IntN(2)].Resume()
	u.stir(random.N(200 * time.Millisecond))
	w[0].Resume()
	w[1].Resume()
}

// fail makes one of the ways fail.
func (w ways) fail(i int) {
	switch random.IntN(8) {
	case 0:
		w[i].Cut()
	case 1:
		w[i].Mute() // what is written lands, and nobody hears of it
	case 2, 3:
		w[i].Hold() // what is written lands in the end, unless etcd reads with it that it was given up
	default:
		w[i].Slow(putTimeout + random.N(4*putTimeout)) // what is written lands after it was given up
	}
}
