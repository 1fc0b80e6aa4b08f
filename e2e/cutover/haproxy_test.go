package cutover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// proxy is a HAProxy that runs the shipped configuration in a place of its own.
type proxy struct {
	*rig.Process

	t        testing.TB
	dir      string
	bind     string
	settings []string // more of the environment
}

// startProxy starts a HAProxy, with settings that the shipped configuration takes from the environment.
func startProxy(t testing.TB, settings ...string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, dir: t.TempDir(), bind: l.Addr().String(), settings: settings}
	_ = l.Close()
	p.start()
	return p
}

// start starts it, with the files of the one before; it is there when its socket answers.
func (p *proxy) start() {
	p.t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		p.t.Fatalf("these tests need HAProxy (make test sets it up): %v", err)
	}
	cfg, err := filepath.Abs("../../examples/haproxy/haproxy.cfg")
	if err != nil {
		p.t.Fatal(err)
	}
	p.Process = r.LaunchAs(p.t, func(c *exec.Cmd) {
		c.Path, c.Args = program, []string{program, "-W", "-db", "-f", cfg}
		c.Env = append(slices.Concat(os.Environ(), account(), p.settings), "HAPROXY_SOCKET="+p.socket(), "HAPROXY_STATE="+p.state(), "HAPROXY_BIND="+p.bind)
	})
	p.await("HAProxy to answer", func() error { _, err := p.ask("show info"); return err })
}

// account is who HAProxy becomes; only root can become somebody else.
func account() []string {
	me, err := user.Current()
	if err != nil || me.Uid == "0" {
		return nil
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return nil
	}
	return []string{"HAPROXY_USER=" + me.Username, "HAPROXY_GROUP=" + group.Name}
}

func (p *proxy) socket() string { return filepath.Join(p.dir, "admin.sock") }
func (p *proxy) state() string  { return filepath.Join(p.dir, "haproxy.state") }
func (p *proxy) url() string    { return "http://" + p.bind + "/" }

func (p *proxy) await(what string, ask func() error) {
	p.t.Helper()
	rig.Await(p.t, what, ask)
}

// ask asks its runtime socket, by itself: it shares no code with eru-lb.
func (p *proxy) ask(command string) (string, error) {
	conn, err := net.DialTimeout("unix", p.socket(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// pid is the worker's, which changes with each reload.
func (p *proxy) pid() string {
	answer, err := p.ask("show info")
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(answer, "\nPid: ")
	pid, _, _ := strings.Cut(rest, "\n")
	return pid
}

// reload has it load its configuration anew, and returns when the new worker answers.
func (p *proxy) reload() {
	p.t.Helper()
	was := p.pid()
	p.Signal(syscall.SIGUSR2)
	p.await("HAProxy to be reloaded", func() error {
		if now := p.pid(); now == was || strings.Contains(now, " ") {
			return fmt.Errorf("the worker is %s, before it was %s", now, was)
		}
		return nil
	})
}

// crash ends master and workers at once.
func (p *proxy) crash() {
	p.t.Helper()
	pid := p.pid()
	p.Kill()
	var worker int
	if _, err := fmt.Sscan(pid, &worker); err != nil {
		p.t.Fatalf("reading the worker's process ID %q: %v", pid, err)
	}
	_ = syscall.Kill(worker, syscall.SIGKILL)
	p.await("the worker to end", func() error {
		if err := syscall.Kill(worker, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.New("it lives")
		}
		return nil
	})
}

// servers are those with an address: "172.17.0.2:80 ready", sorted.
func (p *proxy) servers() []string {
	p.t.Helper()
	answer, err := p.ask("show servers state shop-web")
	if err != nil {
		p.t.Fatalf("asking HAProxy for its servers: %v", err)
	}
	var all []string
	for line := range strings.Lines(answer) {
		// 3 shop-web 1 eru1 172.17.0.2 2 4 ... : address, operational state, administrative state, and the port as the 19th.
		f := strings.Fields(line)
		if len(f) < 19 || f[1] != "shop-web" || f[4] == "0.0.0.0" {
			continue
		}
		var admin int
		if _, err := fmt.Sscan(f[6], &admin); err != nil {
			p.t.Fatalf("reading %q: %v", line, err)
		}
		use := "ready"
		switch {
		case admin&1 != 0:
			use = "maint"
		case admin&8 != 0:
			use = "drain"
		}
		all = append(all, net.JoinHostPort(f[4], f[18])+" "+use)
	}
	slices.Sort(all)
	return all
}

// in are the addresses that get requests.
func (p *proxy) in() []string {
	p.t.Helper()
	var in []string
	for _, s := range p.servers() {
		if at, use, _ := strings.Cut(s, " "); use == "ready" {
			in = append(in, at)
		}
	}
	return in
}

// awaitIn returns once requests go to the containers and nowhere else.
func (p *proxy) awaitIn(containers ...*rig.Container) {
	p.t.Helper()
	want := addresses(containers...)
	p.await(fmt.Sprintf("HAProxy to send to %v", want), func() error {
		if in := p.in(); !slices.Equal(in, want) {
			return fmt.Errorf("it sends to %v: %v", in, p.servers())
		}
		return nil
	})
}

func addresses(containers ...*rig.Container) []string {
	var all []string
	for _, c := range containers {
		all = append(all, net.JoinHostPort(c.Address(""), "80"))
	}
	slices.Sort(all)
	return all
}
