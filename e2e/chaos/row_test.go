package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
)

// The parts of the table, in its order.
const (
	ofAgent = iota
	ofDocker
	ofEtcd
	ofNode
	ofContainers
)

// allRows is the table.
type allRows struct {
	mu   sync.Mutex
	rows []*row
}

// row is what one fault did.
type row struct {
	t     *testing.T
	part  int
	fault string
	on    string // which etcd and Docker: "etcd 3.4 x3, Docker"

	mu    sync.Mutex
	times int
	wrong int
	right []time.Duration
	limit time.Duration
	leaks []string
	notes []string
}

// newRow begins a row of the table; on says on what the fault is tried.
func newRow(t *testing.T, part int, fault, on string) *row {
	t.Helper()
	one := &row{t: t, part: part, fault: fault, on: on}
	rows.mu.Lock()
	defer rows.mu.Unlock()
	rows.rows = append(rows.rows, one)
	return one
}

// injected counts faults.
func (r *row) injected(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times += n
}

// wrongly counts a wrong status and fails the test.
func (r *row) wrongly(format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	r.wrong++
	r.mu.Unlock()
	r.t.Errorf("WRONG: "+format, args...)
}

// rightAfter records how long it took until everything was right again, measured from the end of the fault, and the limit
// that stands for that. It is printed; a machine may be busy, so nothing fails on it.
func (r *row) rightAfter(took, limit time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.right, r.limit = append(r.right, took), limit
}

// leaked records what was left over and fails the test.
func (r *row) leaked(format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	r.leaks = append(r.leaks, fmt.Sprintf(format, args...))
	r.mu.Unlock()
	r.t.Errorf("LEAK: "+format, args...)
}

// note adds a figure to the row: "dropped verdicts 12".
func (r *row) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *row) cells() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong, leaks := fmt.Sprint(r.wrong), "none"
	if r.t.Failed() {
		wrong += " (failed)"
	}
	if len(r.leaks) > 0 {
		leaks = strings.Join(r.leaks, ", ")
	}
	return []string{r.fault, r.on, fmt.Sprint(r.times), wrong, r.soon(), leaks, strings.Join(r.notes, ", ")}
}

// soon is the median and the most of the times until right, beside their limit.
func (r *row) soon() string {
	if len(r.right) == 0 {
		return "never wrong"
	}
	slices.Sort(r.right)
	text := short(r.right[len(r.right)-1])
	if len(r.right) > 1 {
		text = short(r.right[len(r.right)/2]) + ", most " + text
	}
	if r.limit > 0 {
		text += " of " + short(r.limit)
	}
	return text
}

func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
}

// String is the table in Markdown, which is readable as it is.
func (r *allRows) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.rows)
	slices.SortStableFunc(all, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.fault, b.fault), cmp.Compare(a.on, b.on))
	})
	lines := [][]string{{"fault", "on", "times", "wrong", "right after", "leaks", "seen"}}
	for _, one := range all {
		lines = append(lines, one.cells())
	}
	return report.Aligned(lines)
}
