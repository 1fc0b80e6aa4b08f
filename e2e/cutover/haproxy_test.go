package cutover

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"testing"

	shipped "github.com/projecteru2/eru-agent/e2e/proxy"
	"github.com/projecteru2/eru-agent/e2e/rig"
)

// proxy is a HAProxy that runs the shipped configuration in a place of its own.
type proxy struct {
	*rig.Process
	*shipped.HAProxy

	t        testing.TB
	dir      string
	bind     string
	settings []string // more of the environment
}

// startProxy starts a HAProxy, with settings that the shipped configuration takes from the environment.
func startProxy(t testing.TB, settings ...string) *proxy {
	t.Helper()
	place := shipped.Place{Root: root, Dir: t.TempDir(), Listen: rig.FreeAddress(t)}
	p := &proxy{t: t, HAProxy: place.NewHAProxy(), dir: place.Dir, bind: place.Listen, settings: settings}
	p.start()
	return p
}

// start starts it, with the files of the one before; it is there when its socket answers.
func (p *proxy) start() {
	p.t.Helper()
	command := p.HAProxy.Command()
	if command.Err != nil {
		p.t.Fatalf("these tests need HAProxy (make test sets it up): %v", command.Err)
	}
	p.Process = r.LaunchAs(p.t, func(c *exec.Cmd) {
		c.Path, c.Args, c.Env = command.Path, command.Args, slices.Concat(command.Env, account(), p.settings)
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

func (p *proxy) socket() string { return p.HAProxy.Socket }
func (p *proxy) state() string  { return p.HAProxy.State }
func (p *proxy) url() string    { return "http://" + p.bind + "/" }

func (p *proxy) await(what string, ask func() error) {
	p.t.Helper()
	rig.Await(p.t, what, ask)
}

// ask asks its runtime socket.
func (p *proxy) ask(command string) (string, error) { return p.HAProxy.Ask(p.t.Context(), command) }

// pid is the worker's, which changes with each reload.
func (p *proxy) pid() string {
	pid, err := p.Worker(p.t.Context())
	if err != nil {
		return err.Error()
	}
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
	list, err := p.Servers(p.t.Context(), "shop-web")
	if err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, s := range list {
		if !strings.HasPrefix(s.Address, "0.0.0.0:") {
			all = append(all, s.Address+" "+s.Use)
		}
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
