package cmd

import (
	"cmp"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

const (
	liveHead = 4 // lines above the rows: etcd, containers, nodes, columns
	liveFoot = 1
	// liveWide is from how many columns endpoints and IDs are shown.
	liveWide = 120
	// reverse marks what has just changed.
	reverse = "7"
)

const liveHelp = `
  /          type a filter: words that must all be found anywhere in a row, or
             app:WORD node:WORD state:WORD; Enter keeps it, Esc takes it back
  Esc        show all again
  s          sort by app, state (worst first), change (newest first), node
  r          reverse the order
  Space, p   hold the screen, and go on
  j k ↓ ↑    scroll by one          f b PgDn PgUp   by a page
  g G        to the first, to the last
  q, Ctrl-C  end

  A row with * in front has just changed its state. Of a (silent) node the agent
  is not there: its statuses are the last known.

  Any key goes back.`

// room is for how many rows there is place.
func (s *screen) room() int { return max(0, s.height-liveHead-liveFoot) }

// inSight are the rows that are shown.
func (s *screen) inSight() []*boardRow {
	rows := s.board.shown[s.top:]
	return rows[:min(len(rows), s.room())]
}

// View draws what is in sight and nothing else.
func (s *screen) View() tea.View {
	v := tea.NewView(s.content())
	v.AltScreen = true
	return v
}

func (s *screen) content() string {
	lines := []string{s.etcdLine(), s.containerLine(), s.nodeLine()}
	if s.help {
		lines = append(lines, strings.Split(liveHelp, "\n")...)
	} else {
		lines = append(lines, s.table()...)
	}
	body := max(0, s.height-liveFoot)
	lines = lines[:min(len(lines), body)]
	for len(lines) < body {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, s.footLine()), "\n")
}

// line is text cut to the screen, in one colour.
func (s *screen) line(colour, text string) string {
	return s.paint(colour, ansi.TruncateWc(text, s.width, "…"))
}

func (s *screen) etcdLine() string {
	held := ""
	if s.paused {
		held = fmt.Sprintf("HELD, %s waiting · ", plural(s.from.waiting(), "change"))
	}
	switch {
	case s.lost != nil:
		return s.line(red, fmt.Sprintf("%setcd away since %s (%s), the last known stands: %s", held, s.since.Format("15:04:05"), age(s.now.Sub(s.since)), foreign.Text(s.lost.Error())))
	case !s.synced:
		return s.line(yellow, held+"reading etcd …")
	case s.paused:
		return s.line(yellow, held+"etcd is followed")
	}
	return s.line(green, "etcd is followed")
}

func (s *screen) containerLine() string {
	many := plural(len(s.board.rows), "container")
	if shown := len(s.board.shown); shown != len(s.board.rows) {
		many = fmt.Sprintf("%d of %s", shown, many)
	}
	return s.line("", fmt.Sprintf("%s: %s", many, countsBy(worstFirst(), s.board.counts)))
}

// nodeLine says how the nodes fare, what is drained, and who looks after the
// silent. What cannot be read is a question mark.
func (s *screen) nodeLine() string {
	alive, stopping, silent := s.board.fleetNodes()
	words := []string{fmt.Sprintf("nodes: %d alive, %d silent", alive, len(silent))}
	if stopping > 0 {
		words[0] += fmt.Sprintf(", %d stopping", stopping)
	}
	drains, monitor := "?", "?"
	if s.drains != nil {
		drains = fmt.Sprint(len(s.drains.Wishes))
	}
	if s.vigil != nil {
		monitor = "none"
		if s.vigil.Monitor != nil {
			monitor = foreign.Text(s.vigil.Monitor.Node)
		}
	}
	colour := ""
	if len(silent) > 0 {
		colour = yellow
		words = append(words, s.guard(silent))
	}
	words = append(words, "drains: "+drains, "monitor: "+monitor)
	return s.line(colour, strings.Join(words, " · "))
}

// guard says whether the monitor has decided what becomes of silent nodes.
func (s *screen) guard(silent []string) string {
	if s.vigil == nil {
		return "guard: ?"
	}
	open := 0
	for _, name := range silent {
		if s.vigil.Silences[name].Judged.IsZero() {
			open++
		}
	}
	if open == 0 {
		return "all judged"
	}
	return fmt.Sprintf("%d not judged (grace or guard)", open)
}

// footLine is the filter while it is typed, else what can be done and where one is.
func (s *screen) footLine() string {
	if s.typing {
		return s.line(bold, "/"+s.typed+"_")
	}
	order := s.board.sort.by.String()
	if s.board.sort.reverse {
		order += " reversed"
	}
	where := fmt.Sprintf("%d-%d", min(s.top+1, len(s.board.shown)), s.top+len(s.inSight()))
	text := fmt.Sprintf("%s by %s · / filter · s sort · space hold · ? help · q quit", where, order)
	if s.typed != "" {
		text = fmt.Sprintf("%s by %s · filter: %s · esc all · ? help · q quit", where, order, s.typed)
	}
	return s.line(grey, text)
}

// table is the head and the rows in sight, in columns that are as wide as those
// rows need.
func (s *screen) table() []string {
	rows := [][]cell{{{"  STATE", bold}, {"FOR", bold}, {"APP", bold}, {"ENTRYPOINT", bold}, {"NODE", bold}, {"CONTAINER", bold}, {"WHY", bold}, {"ENDPOINTS", bold}}}
	for _, r := range s.inSight() {
		rows = append(rows, s.cells(r))
	}
	if s.width < liveWide {
		for i := range rows {
			rows[i] = rows[i][:len(rows[i])-1]
		}
	}
	if len(rows) == 1 && s.synced {
		rows = append(rows, []cell{{text: "  nothing to show from etcd at " + s.board.opts.etcd}})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], ansi.StringWidthWc(c.text))
		}
	}
	widths = fitColumns(widths, s.width)
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = s.tableLine(row, widths)
	}
	return lines
}

func (s *screen) tableLine(row []cell, widths []int) string {
	var b strings.Builder
	for i, c := range row[:min(len(row), len(widths))] {
		if i > 0 {
			b.WriteString("  ")
		}
		if len(row) == 1 {
			widths = []int{s.width}
		}
		b.WriteString(s.paint(c.colour, fit(c.text, widths[i])))
	}
	return b.String()
}

func (s *screen) cells(r *boardRow) []cell {
	st, node := r.Status, cell{text: r.Key.Node}
	if n, ok := s.board.nodes[r.Key.Node]; !ok {
		node = cell{node.text + " (silent)", yellow}
	} else if n.Agent.State == status.NodeStopping {
		node = cell{node.text + " (stopping)", yellow}
	}
	name, mark, colour := st.Name, "  ", stateColour(st.State)
	if !r.moved.IsZero() && s.now.Sub(r.moved) < flashFor {
		mark, colour = "* ", reverse+";"+colour
	}
	if s.width >= liveWide {
		name += " " + r.Key.ID[:min(len(r.Key.ID), 12)]
	}
	return []cell{
		{mark + cmp.Or(string(st.State), "-"), colour}, {text: age(s.now.Sub(st.Since))}, {text: r.Key.App}, {text: r.Key.Entrypoint},
		node, {text: name}, {why(st), grey}, {text: foreign.Text(endpoints(st))},
	}
}
