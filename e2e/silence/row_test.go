package silence

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
)

// table is what all rows have to say.
type table struct {
	mu   sync.Mutex
	rows []*row
}

// row is one situation: what was cut, what stayed, and after how long.
type row struct {
	t         testing.TB
	situation string
	on        string // how many nodes, which TTL

	mu     sync.Mutex
	times  int
	cut    []string // what was rightly said of containers: "5 lost"
	stayed int      // containers whose status never left healthy
	wrong  int
	after  []time.Duration
	limit  time.Duration
	notes  []string
}

func newRow(t *testing.T, situation, on string) *row {
	t.Helper()
	one := &row{t: t, situation: situation, on: on}
	rows.mu.Lock()
	defer rows.mu.Unlock()
	rows.rows = append(rows.rows, one)
	return one
}

// wrongly counts a wrong cut, or another wrong status, and fails the test.
func (r *row) wrongly(format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	r.wrong++
	r.mu.Unlock()
	r.t.Errorf("WRONG: "+format, args...)
}

// happened counts how often the situation was made, and what was rightly cut.
func (r *row) happened(times int, cut string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times += times
	if cut != "" && !slices.Contains(r.cut, cut) {
		r.cut = append(r.cut, cut)
	}
}

// stays counts containers whose status never left healthy.
func (r *row) stays(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stayed += n
}

// right records how long it took until etcd was right, and the limit that stands for that. It is printed; a machine may be
// busy, so nothing fails on it.
func (r *row) right(after, limit time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after, r.limit = append(r.after, after), limit
}

func (r *row) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

func (r *row) cells() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong, cut := fmt.Sprint(r.wrong), "nothing"
	if r.t.Failed() {
		wrong += " (failed)"
	}
	if len(r.cut) > 0 {
		cut = strings.Join(r.cut, ", ")
	}
	return []string{r.situation, r.on, fmt.Sprint(r.times), cut, fmt.Sprint(r.stayed), wrong, r.soon(), strings.Join(r.notes, ", ")}
}

// soon is the median and the most of the times, beside their limit.
func (r *row) soon() string {
	if len(r.after) == 0 {
		return ""
	}
	slices.Sort(r.after)
	text := seconds(r.after[len(r.after)-1])
	if len(r.after) > 1 {
		text = seconds(r.after[len(r.after)/2]) + ", most " + text
	}
	if r.limit > 0 {
		text += " of " + seconds(r.limit)
	}
	return text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// figures are the rows as a bench has them: those that the issue limits bear their limit.
func (t *table) figures() []report.Figure {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []report.Figure
	for _, r := range t.rows {
		r.mu.Lock()
		what := r.situation + ", " + r.on
		all = append(all, report.Figure{
			Group: "silence", What: fmt.Sprintf("%s: wrong cuts in %d", what, r.times), Ours: []float64{float64(r.wrong)},
			Note: fmt.Sprintf("cut: %s; stayed: %d", strings.Join(append(r.cut, "nothing else"), ", "), r.stayed),
		}.AtMost(0))
		if len(r.after) > 0 {
			f := report.Figure{Group: "silence", What: what + ": until right", Unit: "ms", Worst: true}
			for _, d := range r.after {
				f.Ours = append(f.Ours, report.Milliseconds(d))
			}
			if r.limit > 0 {
				f = f.AtMost(report.Milliseconds(r.limit))
			}
			all = append(all, f)
		}
		r.mu.Unlock()
	}
	return all
}

// String is the table in Markdown, which is readable as it is.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := [][]string{{"situation", "on", "times", "cut", "stayed", "wrong", "after", "seen"}}
	for _, one := range t.rows {
		lines = append(lines, one.cells())
	}
	return report.Aligned(lines)
}
