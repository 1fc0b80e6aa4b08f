package probecost

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

const (
	containers = 200
	timeout    = 2 * time.Second
)

// load is what a method has to keep up until its context ends.
type load struct {
	kind     string // http or tcp
	ports    []uint16
	interval time.Duration
	counted  *count
}

// method is one way to probe.
type method struct {
	name string
	kind string
	run  func(ctx context.Context, l load) error
}

func methods() []method {
	return []method{
		{"eru-agent", "http", runAgent},
		{"net/http, no keep-alive", "http", runNetHTTP},
		{"net.Conn, RST, a timer each", "http", runPlain},
		{"raw epoll, a time each", "http", runEpoll},
		{"raw epoll, on the grid", "http", runEpollGrid},
		{"eru-agent", "tcp", runAgent},
		{"net.Conn, RST, a timer each", "tcp", runPlain},
		{"raw epoll, a time each", "tcp", runEpoll},
		{"raw epoll, on the grid", "tcp", runEpollGrid},
	}
}

// Measure prints the CPU time per probe of 200 containers that are probed every
// second and every 5 seconds, by each method. It takes about two and a half
// minutes. The program that calls it calls Serve first.
func Measure(ctx context.Context, w io.Writer) error {
	return measure(ctx, w, containers, []span{{time.Second, 6 * time.Second}, {5 * time.Second, 10 * time.Second}})
}

// span is an interval and how long it is watched.
type span struct{ interval, length time.Duration }

func measure(ctx context.Context, w io.Writer, n int, spans []span) error {
	s, err := startServers(ctx, n)
	if err != nil {
		return err
	}
	defer s.stop()

	fmt.Fprintf(w, "CPU time per probe, user and system, %d containers on loopback; in brackets: against eru-agent\n", n)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "probe\tmethod")
	for _, sp := range spans {
		fmt.Fprintf(table, "\tevery %s", sp.interval)
	}
	fmt.Fprintln(table)
	ours := map[string]time.Duration{}
	for _, m := range methods() {
		row := []string{m.kind, m.name}
		for _, sp := range spans {
			per, err := m.measure(ctx, s.ports, sp)
			if err != nil {
				return fmt.Errorf("probing by %s: %w", m.name, err)
			}
			key := m.kind + sp.interval.String()
			if ours[key] == 0 {
				ours[key] = per
			}
			row = append(row, fmt.Sprintf("%d us (%.2f)", per.Microseconds(), float64(per)/float64(ours[key])))
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

func (m method) measure(ctx context.Context, ports []uint16, sp span) (time.Duration, error) {
	// Cancelled, not timed out: a deadline would be the probes' as well.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(sp.length, cancel)
	var c count
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	if err := m.run(ctx, load{kind: m.kind, ports: ports, interval: sp.interval, counted: &c}); err != nil {
		return 0, err
	}
	after, err := cpuTime()
	if err != nil {
		return 0, err
	}
	passed, failed := c.passed.Load(), c.failed.Load()
	if failed > 0 || passed == 0 {
		return 0, fmt.Errorf("%d probes passed and %d failed", passed, failed)
	}
	return (after - before) / time.Duration(passed), nil
}

func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
