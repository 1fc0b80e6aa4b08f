package report

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes the figures as a table: ours beside the yardstick and the limit.
func (r *Report) Print(w io.Writer) error {
	m := r.Machine
	_, err := fmt.Fprintf(w, "%s, %d CPUs (%s), %.0f GB, Linux %s, %s, etcd %s, agent %s; load at the start %s; took %s\n",
		r.Date.Format(time.DateOnly), m.CPUs, m.Model, float64(m.Memory)/(1<<30), m.Kernel, m.Go, r.Etcd, r.Agent, m.Load, r.Took.Round(time.Second))
	if err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if sides := r.sides(); len(sides) > 0 {
		err = r.printBeside(w, sides)
	} else {
		err = r.printFigures(w)
	}
	for _, s := range r.Skipped {
		_, skipped := fmt.Fprintf(w, "\nnot measured: %s\n", s)
		err = errors.Join(err, skipped)
	}
	for _, more := range r.Tables {
		_, table := fmt.Fprintf(w, "\n%s", more)
		err = errors.Join(err, table)
	}
	return err
}

func (r *Report) printFigures(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, group := range r.groups() {
		title := strings.ToUpper(group) + "\tOURS\tYARDSTICK\t\tRATIO\tAT MOST\t\t"
		if !r.compared() {
			title = strings.ToUpper(group) + "\tMEASURED\tAT MOST\t\t"
		}
		_, _ = fmt.Fprintf(table, "\n%s\n", title)
		for _, f := range r.Figures {
			if f.Group == group {
				_, _ = fmt.Fprintln(table, strings.Join(r.columns(f), "\t"))
			}
		}
	}
	return table.Flush()
}

// groups are in the order in which they were first measured.
func (r *Report) groups() []string {
	var groups []string
	for _, f := range r.Figures {
		if !slices.Contains(groups, f.Group) {
			groups = append(groups, f.Group)
		}
	}
	return groups
}

// columns are those that the report has anything for.
func (r *Report) columns(f Figure) []string {
	c := f.cells()
	if !r.compared() {
		c = slices.Delete(c, 2, 5)
	}
	return c
}

func (f Figure) cells() []string {
	theirs, ratio, limit := "", "", ""
	if f.Stick != "" {
		theirs, ratio = number(Median(f.Stuck), f.Unit)+spread(f.Stuck), number(f.Ratio(), "x")
	}
	switch f.LimitOf {
	case "figure":
		limit = number(f.Limit, f.Unit)
	case "ratio":
		limit = number(f.Limit, "x")
	}
	return []string{f.What, number(f.Value(), f.Unit) + spread(f.Ours), theirs, f.Stick, ratio, limit, f.Verdict(), f.Note}
}

// spread is the least and the most of several rounds.
func spread(rounds []float64) string {
	if len(rounds) < 2 {
		return ""
	}
	return fmt.Sprintf(" (%s-%s)", short(slices.Min(rounds)), short(slices.Max(rounds)))
}

func number(v float64, unit string) string {
	if math.IsNaN(v) {
		return "-"
	}
	switch unit {
	case "x":
		return fmt.Sprintf("%.2f", v)
	case "":
		return short(v)
	}
	return short(v) + " " + unit
}

// short has three digits or so.
func short(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
