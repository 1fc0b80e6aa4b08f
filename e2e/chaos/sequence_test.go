package chaos

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ofAll is the part of the table in which everything happens at once.
const ofAll = ofContainers + 1

// TestSequences lets random things happen in random order, mends all, waits until it is quiet, and compares what etcd holds
// with what it must hold. Read a failure from its last sequence, which is the shortest that was found, and keep that in
// TestKeptSequences.
func TestSequences(t *testing.T) {
	t.Parallel()
	checks(t, of(7, 40))
	var all sync.WaitGroup
	for n := range 4 { // more than one at a time, because a sequence mostly waits
		process := n%2 == 1
		on := map[bool]string{false: "etcd 3.7", true: "etcd 3.4"}[process] + ", fake Docker"
		row := newRow(t, ofAll, fmt.Sprintf("random sequences, %d", n/2+1), on)
		all.Go(func() {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				s := newScene(t, process)
				rapid.Check(t, func(rt *rapid.T) {
					if !s.replay(t, row, draw(rt)) {
						rt.Fatalf("a sequence has a fault")
					}
				})
				row.note("steps %d", s.steps)
			})
		})
	}
	all.Wait()
}

// checks sets how many sequences rapid draws, unless the command line says it.
func checks(t *testing.T, n int) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	if err := flag.Set("rapid.checks", fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
}

// replay plays one sequence, tells what was wrong with it, and says whether nothing was.
func (s *scene) replay(t *testing.T, row *row, q sequence) bool {
	t.Helper()
	var took time.Duration
	faults, log := try(t, func(one *trial) { took = s.play(one, q) })
	row.injected(1)
	s.steps += len(q)
	if len(faults) == 0 {
		row.rightAfter(took, 0)
		return true
	}
	hurried.Store(true)
	t.Logf("sequence: %s\n%s\n%s", q, strings.Join(faults, "\n"), strings.Join(log, "\n"))
	return false
}

// TestKeptSequences plays those that once had a fault.
func TestKeptSequences(t *testing.T) {
	row := newRow(t, ofAll, "sequences that once had a fault", "etcd 3.7, fake Docker")
	s := newScene(t, false)
	for _, kept := range []struct{ name, sequence string }{
		{"a day", "run c0 http; run c1 named; run c2 plain; wait 300; behave c0 500; pause c1; wait 100; crash; way hold; die c0 0; resume; remove c2 0"},
		{"a life unseen", "with kernel; run c0 quit; die c0 150; wait 300; freeze-agent; dockerd dead; start c0; wait 20; stop c0 150; wait 300"},
	} {
		t.Run(kept.name, func(t *testing.T) {
			q, err := parse(kept.sequence)
			if err != nil {
				t.Fatal(err)
			}
			if !s.replay(t, row, q) {
				row.wrongly("a sequence that was mended has a fault again")
			}
		})
	}
}
