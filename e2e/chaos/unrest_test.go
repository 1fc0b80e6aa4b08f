package chaos

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	random "math/rand/v2"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// servers are the kinds of etcd, by what the table calls them.
var servers = []struct {
	name  string
	start func(testing.TB, ...etcdtest.Option) *etcdtest.Server
}{{"etcd 3.7", etcdtest.Start}, {"etcd 3.4", etcdtest.StartProcess}}

// unrest is a crowd in which something changes all the time: containers fail, are well again, die, start, are removed, and
// new ones come. The ledger knows of each change before it is made.
type unrest struct {
	*ledger
	crowd   *rig.Crowd
	members []*member
	born    int
	changed int
}

// member is a container of the crowd.
type member struct {
	id, address string
	life        int // the truth with which its life began
	up, well    bool
}

// newUnrest makes a node with a crowd. Its agents reach etcd at endpoint; the witness goes to server, or as cfg says.
func newUnrest(row *row, size int, endpoint string, cfg clientv3.Config) *unrest {
	crowd := rig.NewCrowd(row.t, dockertest.Config{})
	n := r.CrowdNode(row.t, crowd, endpoint, cfg)
	u := &unrest{ledger: newLedger(row, n), crowd: crowd}
	for range size {
		u.members = append(u.members, u.join())
	}
	return u
}

// join adds a container with an address that none has had.
func (u *unrest) join() *member {
	var id [32]byte
	_, _ = rand.Read(id[:])
	u.born++
	m := &member{id: hex.EncodeToString(id[:]), address: fmt.Sprintf("127.18.%d.%d", u.born>>8, u.born&0xff)}
	u.lives(m)
	u.crowd.Run(dockertest.Spec{ID: m.id, Labels: u.crowd.Labels("unrest"), Networks: map[string]string{"bridge": m.address}})
	return m
}

// lives tells that a life of m begins.
func (u *unrest) lives(m *member) {
	u.crowd.Behave(m.address, "ok")
	u.begins(m.id)
	u.mu.Lock()
	m.life = len(u.truths[m.id]) - 1
	u.mu.Unlock()
	m.up, m.well = true, true
}

// passed says whether the witness knows that the container has passed in this life: one that never has is starting, and
// not unhealthy.
func (u *unrest) passed(m *member) bool {
	u.judge()
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.last[m.id]
	return seen.truth >= m.life && (seen.state == "healthy" || seen.state == "unhealthy")
}

// step makes one change.
func (u *unrest) step() {
	u.changed++
	i := random.IntN(len(u.members))
	m := u.members[i]
	switch what := random.IntN(10); {
	case !m.up && what > 0:
		u.lives(m)
		u.crowd.Start(m.id)
	case what == 0:
		u.goes(m.id)
		u.crowd.Remove(m.id)
		u.members[i] = u.join()
	case what <= 2:
		u.dies(m.id)
		u.crowd.Die(m.id, 1)
		m.up = false
	case u.passed(m):
		u.flip(m)
	}
}

// flip makes a container that has passed fail, or one that fails pass.
func (u *unrest) flip(m *member) {
	m.well = !m.well
	if m.well {
		u.is(m.id, "healthy")
		u.crowd.Behave(m.address, "ok")
		return
	}
	u.is(m.id, "unhealthy")
	u.crowd.Behave(m.address, "500")
}

// pace is the mean of the time between two changes.
const pace = 15 * time.Millisecond

// stir makes changes for as long as a fault, or the time between two, shall be.
func (u *unrest) stir(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		u.step()
		<-time.After(random.N(2 * pace)) // the fault itself: it comes at any moment
	}
}

// succession holds that each instance of the agent has written for a time and never again, and each transaction but once and
// in order: the owner record is part of each. It returns how many instances there were.
func (u *unrest) succession() int {
	u.row.t.Helper()
	u.node.Catch()
	past, last := map[string]bool{}, record{}
	for _, e := range u.node.Events("agent/" + u.node.Name) {
		o := owner(u.row.t, e)
		switch {
		case past[o.Instance]:
			u.row.wrongly("revision %d is written by instance %s, which was fenced before", e.Revision, o.Instance)
		case o.Sequence <= last.Sequence:
			u.row.wrongly("revision %d is transaction %d of instance %s, after %d", e.Revision, o.Sequence, o.Instance, last.Sequence)
		}
		if o.Instance != last.Instance {
			past[last.Instance] = true
		}
		last = o
	}
	return len(past)
}
