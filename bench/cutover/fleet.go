package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// bench is a run.
type bench struct {
	options
	stage  *stage.Stage
	docker *stage.Docker
	report *report.Report
}

func (b *bench) add(f report.Figure) { b.report.Figures = append(b.report.Figures, f) }

// The ports of a container: for requests over HTTP, which is probed too, and over
// gRPC.
const (
	portHTTP = "80"
	portGRPC = "8082"
)

// fleet are the containers of the service shop/web on a node with the real
// agent.
type fleet struct {
	*bench
	node    *stage.Node
	agent   *stage.Agent
	flags   []string // of docker run
	members []*member
}

// member is one container.
type member struct {
	id, ip string
	pid    int
}

// name is what its answers say.
func (m *member) name() string { return m.id[:12] }

func (m *member) address() string { return net.JoinHostPort(m.ip, portHTTP) }

// kinds of servers, by what they do when they are told to stop.
const (
	finishing = "finish" // closes its listener, ends what is under way, exits
	hasty     = ""       // exits
)

// newFleet starts the agent and as many containers as there are to be.
func (b *bench) newFleet(ctx context.Context, kind string, start func(*stage.Node) (*stage.Agent, error)) (*fleet, error) {
	f := &fleet{bench: b, flags: []string{"--env", "TERM=" + kind, "--env", "GRPC=" + portGRPC}}
	for _, label := range []string{b.docker.Label, "eru.app=shop", "eru.entrypoint=web", "eru.publish=" + portHTTP + "," + portGRPC, "eru.health.http.path=/healthz"} {
		f.flags = append(f.flags, "--label", label)
	}
	var err error
	if f.node, err = b.stage.NodeAt(ctx, b.docker.Endpoint, "--docker.select", b.docker.Label, "--healthcheck.interval", b.interval.String()); err != nil {
		return nil, err
	}
	if f.agent, err = start(f.node); err == nil {
		err = stage.Within(ctx, f.agent.AwaitReady)
	}
	for i := 0; i < b.servers && err == nil; i++ {
		var m *member
		m, err = f.run(ctx)
		f.members = append(f.members, m)
	}
	if err != nil {
		f.end()
		return nil, err
	}
	return f, nil
}

// end removes all of it.
func (f *fleet) end() {
	ctx, cancel := context.WithTimeout(context.Background(), stage.Patience)
	defer cancel()
	for _, m := range f.members {
		if m != nil {
			_ = f.remove(ctx, m)
		}
	}
	if f.agent != nil {
		f.agent.End()
	}
	f.node.End()
}

// run starts a container, and returns once etcd says that it is healthy.
func (f *fleet) run(ctx context.Context) (*member, error) {
	m := &member{}
	var err error
	if m.id, err = f.docker.RunAs(ctx, f.flags...); err != nil {
		return nil, err
	}
	m.pid, err = f.docker.Pid(ctx, m.id)
	if err == nil && m.pid == 0 {
		err = errors.New("starting a container: it has ended at once; the web server has to be a static program")
	}
	if err == nil {
		m.ip, err = f.docker.Address(ctx, m.id)
	}
	if err == nil {
		err = f.await(ctx, 0, m, "healthy")
	}
	return m, err
}

// await returns once the witness has seen a state of a container after the first
// n things that it saw.
func (f *fleet) await(ctx context.Context, n int, m *member, state string) error {
	return stage.Within(ctx, func(ctx context.Context) error {
		_, err := f.node.Await(ctx, n, fmt.Sprintf("container %s to be %s", m.name(), state), func(s stage.Sight) bool {
			return s.ID == m.id && s.State == state
		})
		return f.agent.Explain(err)
	})
}

func (f *fleet) remove(ctx context.Context, m *member) error {
	_, err := f.docker.Command(ctx, "rm", "--force", m.id)
	return err
}

// replace puts a new container in the place of the i-th.
func (f *fleet) replace(ctx context.Context, i int) error {
	m, err := f.run(ctx)
	if err != nil {
		return err
	}
	f.members[i], m = m, f.members[i]
	return f.remove(ctx, m)
}

// kill ends a container's process.
func (f *fleet) kill(_ context.Context, m *member) error {
	if err := unix.Kill(m.pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("killing: %w", err)
	}
	return nil
}

// stop stops a container as a person would.
func (f *fleet) stop(ctx context.Context, m *member) error {
	_, err := f.docker.Command(ctx, "stop", m.id)
	return err
}

// drainAndStop stops a container as a deploy should: it is drained first, and the
// command waits for eru-lb. confd tells nobody what it has done: half a second has to do.
func (s *scene) drainAndStop(ctx context.Context, m *member) error {
	c := exec.CommandContext(ctx, s.stage.Program("eru-agent"), "drain", m.id, "--wait", "--reason", "bench",
		"--etcd.endpoints", s.stage.Etcd.Endpoint, "--etcd.prefix", s.node.Prefix)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("draining %s: %w: %s", m.name(), err, out)
	}
	if s.lb == nil {
		if err := kernel.Sleep(ctx, aftermath); err != nil {
			return err
		}
	}
	return s.stop(ctx, m)
}

// behave tells a container's server how to answer.
func (f *fleet) behave(ctx context.Context, m *member, mode string) error {
	_, err := stage.Get(ctx, "http://"+m.ip+":8081/behave?mode="+mode)
	return err
}

// behaveAll tells all of them.
func (f *fleet) behaveAll(ctx context.Context, mode string) error {
	var errs []error
	for _, m := range f.members {
		errs = append(errs, f.behave(ctx, m, mode))
	}
	return errors.Join(errs...)
}

// addresses are those of all but one; nil for all.
func (f *fleet) addresses(but *member) []string {
	var all []string
	for _, m := range f.members {
		if m != but {
			all = append(all, m.address())
		}
	}
	return all
}

// every calls ask each d until it says yes, for as long as ctx.
func every(ctx context.Context, d time.Duration, ask func() (bool, error)) error {
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		if err := kernel.Sleep(ctx, d); err != nil {
			return err
		}
	}
}
