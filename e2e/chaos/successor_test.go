package chaos

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// fenced holds that an agent has ended because of the newest owner of the node, and says so, with all that an operator needs.
func (u *unrest) fenced(a *rig.Agent) {
	u.row.t.Helper()
	if code := a.Wait(); code != 1 {
		u.row.t.Errorf("a fenced agent ended with %d, want 1", code)
	}
	u.node.Catch()
	e, _ := u.node.Last("agent/" + u.node.Name)
	o := owner(u.row.t, e)
	u.says(a, "fenced", o.Instance, o.Machine, u.node.Name)
}

// says holds that the last line of an agent that has ended names all words.
func (u *unrest) says(a *rig.Agent, words ...string) {
	u.row.t.Helper()
	lines := strings.Split(strings.TrimSpace(a.Err.String()), "\n")
	last := lines[len(lines)-1]
	for _, word := range words {
		if !strings.Contains(last, word) {
			u.row.t.Errorf("an agent ends with %q, which does not name %q", last, word)
		}
	}
}

// TestSecondAgent starts an agent beside one with the same node name, again and again, while everything changes: beside one
// that runs, and beside one that is frozen and goes on later.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofNode, "two agents, one name, one machine", server.name+", 20 fake")
			etcd := server.start(t)
			u := newUnrest(row, 20, etcd.Endpoint(), clientv3.Config{})
			u.away = 2 * time.Second // what the second one finds out at its start
			a := u.node.Start().AwaitReady()
			u.settle(time.Now())
			rounds := of(2, 10)
			for i := range rounds {
				frozen := i%2 == 1
				u.stir(200 * time.Millisecond)
				if frozen {
					a.Signal(syscall.SIGSTOP)
					u.stir(of(200*time.Millisecond, time.Second))
				}
				second := u.node.Start()
				u.stir(300 * time.Millisecond)
				second.AwaitReady()
				u.stir(200 * time.Millisecond)
				if frozen {
					a.Signal(syscall.SIGCONT)
					u.stir(200 * time.Millisecond)
				}
				row.injected(1)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				u.fenced(a)
				a = second
			}
			u.nothingNew()
			if n := u.succession(); n != rounds+1 {
				t.Errorf("%d instances have written, want %d", n, rounds+1)
			}
		})
	}
}

// TestLateFirst lets what an agent has sent arrive when another has taken over from it.
func TestLateFirst(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofNode, "two agents, the first one's puts land later", server.name+", 20 fake")
			etcd := server.start(t)
			way := etcdtest.NewProxy(t, etcd.Address())
			direct := clientv3.Config{Endpoints: []string{etcd.Endpoint()}}
			u := newUnrest(row, 20, etcd.Endpoint(), direct)
			u.away = 3 * time.Second
			behind := r.CrowdNode(t, u.crowd, "http://"+way.Address(), direct)
			behind.Name = u.node.Name
			for range of(2, 20) {
				first := behind.Start().AwaitReady()
				u.stir(100 * time.Millisecond)
				way.Hold()
				u.stir(200 * time.Millisecond) // a put is under way now
				second := u.node.Start()
				u.stir(200 * time.Millisecond)
				second.AwaitReady()
				u.stir(100 * time.Millisecond)
				way.Resume()
				row.injected(1)
				u.stir(100 * time.Millisecond)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				u.fenced(first)
				second.Kill()
			}
			u.nothingNew()
			u.succession()
		})
	}
}

// elsewhere makes an agent one of another machine: it has a host name of its own.
func elsewhere(c *exec.Cmd) {
	c.Args = append([]string{"sh", "-c", `echo elsewhere >/proc/sys/kernel/hostname && exec "$0" "$@"`, c.Path}, c.Args[1:]...)
	c.Path = "/bin/sh"
	c.SysProcAttr.Unshareflags = syscall.CLONE_NEWUTS
}

// TestOtherMachine starts an agent under the name of a node on another machine: beside one that lives, beside one that is
// frozen or cut off, and once its session is gone.
func TestOtherMachine(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofNode, "two agents, one name, two machines", server.name+", 20 fake")
			etcd := server.start(t)
			way := etcdtest.NewProxy(t, etcd.Address())
			direct := clientv3.Config{Endpoints: []string{etcd.Endpoint()}}
			u := newUnrest(row, 20, etcd.Endpoint(), direct)
			u.away = 5 * time.Second // nobody writes until the session has ended
			behind := r.CrowdNode(t, u.crowd, "http://"+way.Address(), direct)
			behind.Name = u.node.Name
			flags := []string{"--etcd.session_ttl", "2s"}
			refuses := func() {
				t.Helper()
				late := u.node.StartAs("", elsewhere, flags...)
				if code := late.Wait(); code != 1 {
					t.Errorf("beside a live agent one of another machine ended with %d, want 1", code)
				}
				u.says(late, "node name is taken", u.node.Name, `"`+host, `"elsewhere/`, "another node name")
				row.injected(1)
			}
			for i := range of(1, 5) {
				first := behind.Start(flags...).AwaitReady()
				refuses()
				u.stir(200 * time.Millisecond)
				u.settle(time.Now())
				stop, resume := func() { first.Signal(syscall.SIGSTOP) }, func() { first.Signal(syscall.SIGCONT) }
				if i%2 == 1 {
					stop, resume = way.Hold, way.Resume
				}
				stop()
				refuses() // its session is there yet
				u.stir(200 * time.Millisecond)
				u.silent()
				second := u.node.StartAs("", elsewhere, flags...).AwaitReady()
				u.stir(200 * time.Millisecond)
				resume()
				row.injected(1)
				u.stir(200 * time.Millisecond)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				u.fenced(first)
				second.Kill()
				u.silent()
			}
			u.succession()
		})
	}
}

// silent returns once the node's session has ended.
func (u *unrest) silent() {
	u.row.t.Helper()
	key := "status:node/" + u.node.Name
	u.node.Await(u.row.t, "the session to end", func() bool {
		e, ok := u.node.Last(key)
		return ok && e.Deleted()
	}, func() string { return "the node's record" })
}
