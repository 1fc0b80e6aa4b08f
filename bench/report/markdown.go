package report

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Markdown writes the tables as docs/performance.md has them: the figures with
// their limits, and what the whole agent costs over size and interval.
func (r *Report) Markdown(path string) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Of %s, on %d shared virtual cores (%s) with %.0f GB, Linux %s, %s, etcd %s with one member; nothing else ran. Medians, with the least and the most of several rounds.\n",
		r.Date.Format(time.DateOnly), m.CPUs, m.Model, float64(m.Memory)/(1<<30), release(m.Kernel), m.Go, r.Etcd)
	for _, group := range r.groups() {
		fmt.Fprintf(&b, "\n| %s | agent | yardstick | ratio | at most | |\n| --- | --- | --- | --- | --- | --- |\n", group)
		for _, f := range r.Figures {
			if f.Group == group {
				c := f.cells()
				theirs := strings.TrimSpace(c[2] + " " + c[3])
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(join(c[0], c[7]), "|", `\|`), c[1], theirs, c[4], c[5], c[6])
			}
		}
	}
	b.WriteString("\n| probes | containers | every | agent | of a core | memory | to Docker | to etcd | beside it, per probe |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range r.Points {
		fmt.Fprintf(&b, "| %s | %d | %s s | %s a probe | %.1f %% | %.0f MB | %s calls in %.0f s | %s puts | %s |\n",
			p.Kind, p.N, short(p.Interval), number(p.PerProbe, "us"), p.CPU/10, p.Resident, short(p.Docker), p.Span, short(p.Puts), sticks(p.Sticks))
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the tables: %w", err)
	}
	return nil
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
