package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
)

const (
	// rate is of the requests through HAProxy, in a second.
	rate = 100
	// aWhile is how long requests pass before, between and after what is done.
	aWhile = time.Second
	// deadAir is how long a request takes at least where nobody answers: about the timeout connect of examples/haproxy.
	deadAir = 900 * time.Millisecond
)

// front is a HAProxy before the demonstration's containers, and eru-lb that
// drives it.
type front struct {
	bind, ready string // where it is asked for the containers' page, and eru-lb whether it is ready
	proxy, lb   *child
}

// startFront starts both; ctx ends them.
func startFront(ctx context.Context, o options, config string) (*front, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, fmt.Errorf("finding HAProxy (scripts/setup demo installs it): %w", err)
	}
	bind, err := freePort()
	metrics, err2 := freePort()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	f := &front{bind: bind, ready: "http://" + metrics + "/readyz"}
	socket, state := filepath.Join(o.dir, "haproxy.sock"), filepath.Join(o.dir, "haproxy.state")
	proxy := exec.CommandContext(ctx, program, "-W", "-db", "-f", config)
	proxy.Env = append(os.Environ(), "HAPROXY_SOCKET="+socket, "HAPROXY_STATE="+state, "HAPROXY_BIND="+bind)
	if f.proxy, err = startChild(o.dir, "haproxy", proxy); err != nil {
		return nil, err
	}
	// The shipped configuration has one backend, and calls it shop-web.
	f.lb, err = startSelf(ctx, o.dir, "lb", "haproxy", "--services", "demo/web=shop-web", "--etcd.endpoints", o.etcd,
		"--haproxy.socket", socket, "--haproxy.state_file", state, "--state_dir", o.dir, "--metrics.addr", metrics)
	if err != nil {
		f.proxy.end()
		return nil, err
	}
	return f, nil
}

// freePort is one of the kernel's choice. Another program may take it, which
// HAProxy or eru-lb then says.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// stop ends both. HAProxy's master ends with the signal's number.
func (f *front) stop() error {
	defer f.proxy.end()
	return f.lb.stop()
}

// await returns once HAProxy has all that is healthy.
func (f *front) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, seenIn)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !well(ctx, f.ready) || !well(ctx, "http://"+f.bind) {
		select {
		case <-f.proxy.ended:
			return f.proxy.failed()
		case <-f.lb.ended:
			return errors.New("eru-lb ended")
		case <-ctx.Done():
			return fmt.Errorf("waiting for HAProxy to have the containers: %w; HAProxy said %q and eru-lb %q", ctx.Err(), f.proxy.lastWords(), f.lb.lastWords())
		case <-tick.C:
		}
	}
	return nil
}

func well(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// cutover stops one container behind HAProxy and kills another, while requests
// pass. Of these none may fail.
func (p *play) cutover(ctx context.Context, o options, config string) error {
	_, _ = fmt.Fprintf(p.out, "\n# A HAProxy before three containers, driven by eru-lb, with %d requests a second through it\n", rate)
	one, two, three := "eru-demo-4", "eru-demo-5", "eru-demo-6"
	for _, name := range []string{one, two, three} {
		if _, err := p.step(ctx, name, "healthy", func() (string, error) { return p.docker.start(ctx, name) }); err != nil {
			return err
		}
	}
	f, err := startFront(ctx, o, config)
	if err != nil {
		return err
	}
	err = f.await(ctx)
	if err == nil {
		err = p.underLoad(ctx, f.bind, func() error {
			if _, err := p.step(ctx, one, "stopped", func() (string, error) { return "", p.docker.run(ctx, "stop", one) }); err != nil {
				return err
			}
			if err := pause(ctx); err != nil {
				return err
			}
			_, err := p.step(ctx, two, "stopped", func() (string, error) { return "", p.docker.run(ctx, "kill", two) })
			return err
		})
	}
	return errors.Join(err, f.stop())
}

// underLoad does something while requests pass, and says how many failed.
func (p *play) underLoad(ctx context.Context, bind string, do func() error) error {
	client := load.NewHTTP("http://" + bind + "/")
	defer client.Close()
	l := load.Start(ctx, rate, client.Ask)
	err := pause(ctx)
	if err == nil {
		err = errors.Join(do(), pause(ctx))
	}
	requests := l.Stop()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, "\n%s\n", outcome(requests))
	if len(requests.Failed()) > 0 {
		return fmt.Errorf("losing no request: %s", requests.Why())
	}
	return nil
}

// outcome says how the requests fared.
func outcome(requests load.Requests) string {
	longest := requests.Latency(1)
	text := fmt.Sprintf("%d requests through HAProxy, failed: %d; the longest took %.0f ms", len(requests), len(requests.Failed()), longest.Seconds()*1000)
	if longest >= deadAir {
		text += " (HAProxy waits up to a second for a connection to an address that is gone, then asks the next server)"
	}
	return text
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(aWhile):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
