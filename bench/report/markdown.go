package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Markdown writes the tables as the pages in docs have them: the figures with
// their limits, and what the whole agent costs over size and interval.
func (r *Report) Markdown(path string) error {
	var b strings.Builder
	m, members := r.Machine, "one member"
	if r.Members > 1 {
		members = fmt.Sprintf("%d members", r.Members)
	}
	fmt.Fprintf(&b, "Of %s, on %d shared virtual cores (%s) with %.0f GB, Linux %s, %s, etcd %s with %s; nothing else ran. Medians, with the least and the most of several rounds.\n",
		r.Date.Format(time.DateOnly), m.CPUs, m.Model, float64(m.Memory)/(1<<30), release(m.Kernel), m.Go, r.Etcd, members)
	if sides := r.sides(); len(sides) > 0 {
		r.markdownBeside(&b, sides)
	} else {
		r.markdownFigures(&b)
	}
	b.WriteString(r.points())
	for _, table := range r.Tables {
		b.WriteString("\n" + table)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", s)
	}
	text, err := placed(path, b.String())
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the tables: %w", err)
	}
	return nil
}

// The lines of a document between which the tables stand.
const (
	markBegin = "<!-- measured -->\n"
	markEnd   = "<!-- end of measured -->\n"
)

// placed are the tables, within the document that stands at path if that has a
// place for them.
func placed(path, tables string) (string, error) {
	stands, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tables, nil
	}
	before, rest, begun := strings.Cut(string(stands), markBegin)
	_, after, ended := strings.Cut(rest, markEnd)
	if err != nil || !begun || !ended {
		return tables, err
	}
	return before + markBegin + tables + markEnd + after, nil
}

func (r *Report) markdownFigures(b *strings.Builder) {
	for _, group := range r.groups() {
		b.WriteString("\n" + r.head(group))
		for _, f := range r.Figures {
			if f.Group == group {
				b.WriteString(r.line(f))
			}
		}
	}
}

// compared says whether there is any yardstick.
func (r *Report) compared() bool {
	return slices.ContainsFunc(r.Figures, func(f Figure) bool { return f.Stick != "" })
}

func (r *Report) head(group string) string {
	if !r.compared() {
		return fmt.Sprintf("| %s | measured | at most | |\n| --- | --- | --- | --- |\n", group)
	}
	return fmt.Sprintf("| %s | agent | yardstick | ratio | at most | |\n| --- | --- | --- | --- | --- | --- |\n", group)
}

func (r *Report) line(f Figure) string {
	c := f.cells()
	what := strings.ReplaceAll(join(c[0], c[7]), "|", `\|`)
	if !r.compared() {
		return fmt.Sprintf("| %s | %s | %s | %s |\n", what, c[1], c[5], c[6])
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", what, c[1], strings.TrimSpace(c[2]+" "+c[3]), c[4], c[5], c[6])
}

// points is the table of sizes and intervals; "" if there are none.
func (r *Report) points() string {
	if len(r.Points) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n| probes | containers | every | agent | of a core | memory | to Docker | to etcd | beside it, per probe |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range r.Points {
		fmt.Fprintf(&b, "| %s | %d | %s s | %s a probe | %.1f %% | %.0f MB | %s calls in %.0f s | %s puts | %s |\n",
			p.Kind, p.N, short(p.Interval), number(p.PerProbe, "us"), p.CPU/10, p.Resident, short(p.Docker), p.Span, short(p.Puts), sticks(p.Sticks))
	}
	return b.String()
}

// Aligned is a table in Markdown that is readable as it is: the first line is its head, and all lines have as many cells.
func Aligned(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	for i, line := range lines {
		for j, cell := range line {
			fmt.Fprintf(&out, "| %-*s ", widths[j], cell)
		}
		out.WriteString("|\n")
		if i == 0 {
			out.WriteString(strings.Repeat("| --- ", len(widths)) + "|\n")
		}
	}
	return out.String()
}

func join(what, note string) string {
	if note == "" {
		return what
	}
	return what + " (" + note + ")"
}

// release is the kernel's without what its builder added.
func release(kernel string) string {
	version, _, _ := strings.Cut(kernel, "-")
	return version
}

func sticks(by map[string]float64) string {
	var words []string
	for name, us := range by {
		words = append(words, name+" "+number(us, "us"))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
