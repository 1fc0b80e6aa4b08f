package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// fleet is many containers of a fake Docker, all answered by one web server:
// real ones would cost more than what is measured.
type fleet struct {
	docker *dockertest.Server
	web    *exec.Cmd
}

func (s *stage) fleet(n int) (*fleet, error) {
	_, port, err := net.SplitHostPort(freeAddress())
	if err != nil {
		return nil, err
	}
	f := &fleet{docker: dockertest.New(s, dockertest.Config{}), web: exec.Command(filepath.Join(s.dir, "web"))} //nolint:noctx // ended by end
	f.web.Env = []string{"PORTS=" + port, "CONTROL=off"}
	if err := f.web.Start(); err != nil {
		return nil, err
	}
	for i := range n {
		f.docker.Run(dockertest.Spec{
			Name:   fmt.Sprintf("fleet_web_%d", i),
			Labels: map[string]string{"eru.health.http.port": port},
		})
	}
	return f, nil
}

func (f *fleet) end() {
	_ = f.web.Process.Kill()
	_ = f.web.Wait()
}

// quietNode measures what an agent costs while nothing happens.
func quietNode(ctx context.Context, s *stage, w io.Writer, length time.Duration) error {
	const containers = 200
	f, err := s.fleet(containers)
	if err != nil {
		return err
	}
	defer f.end()
	p, err := s.agent(ctx, "--docker.endpoint", f.docker.Endpoint())
	if err != nil {
		return err
	}
	defer p.end(syscall.SIGTERM)
	sights := s.follow(ctx, p.node)
	before, err := s.sample(ctx, p)
	if err != nil {
		return err
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := s.sample(ctx, p)
	if err != nil {
		return err
	}
	probes := after.probes - before.probes
	_, _ = fmt.Fprintf(w, "QUIET NODE, %d healthy containers at 5s for %s\tFIGURE\tGOAL\n", containers, length)
	_, _ = fmt.Fprintf(w, "writes to etcd\t%d\t0\n", len(sights))
	_, _ = fmt.Fprintf(w, "resident memory\t%.1f MB\tunder 40 MB\n", float64(after.rss)/(1<<20))
	_, _ = fmt.Fprintf(w, "probes\t%.0f\t%.0f\n", probes, containers*length.Seconds()/5)
	_, _ = fmt.Fprintf(w, "CPU of the whole process, per probe\t%.0f us\tbaselines below\n", float64((after.cpu-before.cpu).Microseconds())/probes)
	_, _ = fmt.Fprintf(w, "CPU of the whole process\t%.2f %% of a core\t\n", 100*(after.cpu-before.cpu).Seconds()/length.Seconds())
	return nil
}

// sample is a process at one moment.
type sample struct {
	rss    int64
	cpu    time.Duration
	probes float64
}

func (s *stage) sample(ctx context.Context, p *process) (sample, error) {
	var out sample
	metrics, err := get(ctx, "http://"+p.api+"/metrics")
	if err != nil {
		return out, err
	}
	out.probes = metric(metrics, `eru_agent_probes_total{kind="http",result="pass"}`)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return out, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	out.cpu = time.Duration(user+system) * 10 * time.Millisecond // proc(5): ticks of 1/100 s
	out.rss = pages * int64(os.Getpagesize())
	return out, nil
}

func metric(text, name string) float64 {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(value, 64)
			return v
		}
	}
	return 0
}

// restarts kills the agent again and again under a healthy fleet.
func restarts(ctx context.Context, s *stage, w io.Writer) error {
	const containers, times = 50, 20
	f, err := s.fleet(containers)
	if err != nil {
		return err
	}
	defer f.end()
	p, err := s.agent(ctx, "--docker.endpoint", f.docker.Endpoint())
	if err != nil {
		return err
	}
	defer func() { p.end(syscall.SIGTERM) }()
	sights := s.follow(ctx, p.node)
	var verified []time.Duration
	for range times {
		p.end(syscall.SIGKILL)
		begun := time.Now()
		if err := p.start(ctx, p.cmd.Path, p.cmd.Args[1:]); err != nil {
			return err
		}
		verified = append(verified, time.Since(begun))
	}
	changes := 0
	for len(sights) > 0 {
		if got := <-sights; got.status && got.state != status.StateHealthy {
			changes++
		}
	}
	_, _ = fmt.Fprintf(w, "RESTART, SIGKILL and start %d times under %d containers\tLEAST\tMEDIAN\tMOST\tGOAL\n", times, containers)
	_, _ = fmt.Fprintf(w, "start -> all verified again (ready)\t%s\tat most 2 s\n", spread(verified))
	_, _ = fmt.Fprintf(w, "statuses that changed\t%d\t\t\t0\n", changes)
	return nil
}
