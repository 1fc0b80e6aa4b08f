package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

// seed makes the label sets: the same in every run, so that what fails once fails again.
const seed = 20

// limits are those of an agent as the rig starts it.
func limits() healthcheck.Config {
	return healthcheck.Config{
		Interval: 200 * time.Millisecond, Timeout: 2 * time.Second, StartInterval: 200 * time.Millisecond, RetryInterval: 200 * time.Millisecond,
		MinInterval: 100 * time.Millisecond, Grid: healthcheck.DefaultGrid, Concurrency: 256,
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// TestLabelSets reads hostile label sets, asks every check that comes of them once, and looks at the wire: a connection
// leads to the container whose labels they are, at a port of the check, or is an error. No server gets more than the one
// request that it was to get.
func TestLabelSets(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofContainers, "hostile labels, parsed and asked", "cage")
	if !caged() {
		row.cage()
		return
	}
	row.furnish()
	wire, port := sniff(t), answerOnce(t, row)
	sets := labelSets(seed, of(2000, 10_000), port)
	row.injected(len(sets))
	parser := healthcheck.NewParser(limits())
	jobs, checks := make(chan int), atomic.Int64{}
	allowed := map[netip.AddrPort]bool{} // every port of every check
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := range jobs {
				check, err := parseSet(row, parser, sets[i])
				if err != nil || len(check.Probes) == 0 {
					continue
				}
				checks.Add(1)
				addr := netip.AddrFrom4([4]byte{127, 18, byte(i >> 8), byte(i)})
				mu.Lock()
				for _, p := range check.Probes {
					allowed[netip.AddrPortFrom(addr, p.Port)] = true
				}
				mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), check.Timeout)
				check.Ask(ctx, healthcheck.Target{Addr: addr}, nil)
				cancel()
			}
		})
	}
	for i := range sets {
		jobs <- i
	}
	close(jobs)
	all.Wait()
	dialled, strange := wire.seen()
	for to := range dialled {
		if !allowed[to] {
			row.wrongly("%s was dialled", to)
		}
	}
	for to := range strange {
		row.wrongly("something that is no TCP went to %s", to)
	}
	if n := checks.Load(); n < int64(len(sets)/10) || len(dialled) < int(n) {
		t.Errorf("%d of %d sets make a check, %d ports were dialled: too few to say anything", n, len(sets), len(dialled))
	}
	row.note("%d checks", checks.Load())
	row.note("%d ports dialled", len(dialled))
}

// parse reads one set and holds that what comes of it is a check, or says what is wrong with which label.
func parseSet(row *row, parser *healthcheck.Parser, set labelSet) (healthcheck.Check, error) {
	key, identity := agent.Identify(set.labels, set.name, "n1", "c0ffee0123456789")
	if !status.ValidName(key.App) || !status.ValidName(key.Entrypoint) || key.Node != "n1" || key.ID != "c0ffee0123456789" {
		row.wrongly("%q makes the key %+v", set, key)
	}
	check, err := parser.Parse(set.labels)
	var fault *healthcheck.LabelError
	switch {
	case err == nil && len(check.Probes) == 0 && asksForHealth(set.labels, "http", "tcp"):
		row.wrongly("%q is silently taken for no check", set.labels)
	case err != nil && (!errors.As(err, &fault) || fault.Want == "" || !named(err.Error()) || unprintable(err.Error()) || len(err.Error()) > 2048):
		row.wrongly("%q is called %.300q", set.labels, err)
	}
	return check, errors.Join(err, identity)
}

// asksForHealth says whether a label of one of the kinds is there.
func asksForHealth(labels map[string]string, kinds ...string) bool {
	for label := range labels {
		for _, kind := range kinds {
			if strings.HasPrefix(label, "eru.health."+kind) {
				return true
			}
		}
	}
	return false
}

// named says whether a text begins with the label that it is about.
func named(text string) bool {
	return regexp.MustCompile(`^(eru\.(app|entrypoint|publish|health\..*)|ERU_META( Publish| HealthCheck\.[A-Za-z]+)?|com\.docker\.[a-z.]+|the container's name)(="|…$)`).MatchString(text)
}

// answerOnce answers on every address, at the port that it returns, and holds that each connection brings one request
// that is in order, and nothing after it.
func answerOnce(t *testing.T, row *row) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { answerOne(row, conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func answerOne(row *row, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	if first, err := in.Peek(1); err != nil || first[0] == 0x16 {
		return // a TCP probe, or one that wants TLS
	}
	r, err := http.ReadRequest(in)
	switch {
	case err != nil:
		row.wrongly("a request is malformed: %v", err)
	case r.RequestURI == "" || r.RequestURI[0] != '/':
		row.wrongly("a request is for %q", r.RequestURI)
	case r.ContentLength > 0 || len(r.TransferEncoding) > 0:
		row.wrongly("a request has a body: %+v", r)
	}
	_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncrowd\n")
	if more, err := in.Peek(1); err == nil {
		row.wrongly("a second request follows: %q", more)
	}
}
