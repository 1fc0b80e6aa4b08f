package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A run that compares several things has figures that say whom they are of; what
// is of one kind stands in one row, beside each other.

// sides are whom the figures are of, in the order in which they came.
func (r *Report) sides() []string {
	var of []string
	for _, f := range r.Figures {
		if f.Of != "" && !slices.Contains(of, f.Of) {
			of = append(of, f.Of)
		}
	}
	return of
}

// row has its cells in the order of the sides, then the limit and whether
// it was met.
type row struct {
	what           string
	cells          []string
	limit, verdict string
}

func (r *Report) rows(group string, sides []string) []row {
	var rows []row
	for _, f := range r.Figures {
		if f.Group != group {
			continue
		}
		i := slices.IndexFunc(rows, func(l row) bool { return l.what == f.What })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{what: f.What, cells: make([]string, len(sides))})
		}
		rows[i].cells[slices.Index(sides, f.Of)] = join(number(f.Value(), f.Unit)+spread(f.Ours), f.Note)
		if f.LimitOf != "" {
			rows[i].limit, rows[i].verdict = number(f.Limit, f.Unit), f.Verdict()
		}
	}
	for _, l := range rows {
		for i, cell := range l.cells {
			if cell == "" {
				l.cells[i] = "–"
			}
		}
	}
	return rows
}

func (r *Report) printBeside(w io.Writer, sides []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, group := range r.groups() {
		_, _ = fmt.Fprintf(table, "\n%s\tAT MOST\t\t%s\n", strings.ToUpper(group), strings.Join(sides, "\t"))
		for _, l := range r.rows(group, sides) {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.what, l.limit, l.verdict, strings.Join(l.cells, "\t"))
		}
	}
	return table.Flush()
}

func (r *Report) markdownBeside(b *strings.Builder, sides []string) {
	for _, group := range r.groups() {
		fmt.Fprintf(b, "\n| %s | %s | at most | |\n| --- | %s--- | --- |\n", group, strings.Join(sides, " | "), strings.Repeat("--- | ", len(sides)))
		for _, l := range r.rows(group, sides) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", l.what, strings.Join(l.cells, " | "), l.limit, l.verdict)
		}
	}
}
