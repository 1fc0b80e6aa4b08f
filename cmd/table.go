package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// isTerminal says whether w is a person's terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// paint colours text for people; plain does not.
type paint func(colour, text string) string

func plain(_, text string) string { return text }

func coloured(colour, text string) string {
	if colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// painter colours on a terminal, unless NO_COLOR (no-color.org) is set.
func painter(w io.Writer) paint {
	if isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		return coloured
	}
	return plain
}

const (
	green  = "32"
	red    = "31"
	yellow = "33"
	grey   = "90"
	bold   = "1"
)

func stateColour(s status.State) string {
	switch s {
	case status.StateHealthy:
		return green
	case status.StateUnhealthy, status.StateInvalid, status.StateLost:
		return red
	case status.StateStopped:
		return grey
	default:
		return yellow
	}
}

// cell is one field of a table; colours do not count for its width.
type cell struct{ text, colour string }

// writeTable aligns rows in columns, the last of which is as wide as it is.
// Every text is made fit to be shown, also in rows itself.
func writeTable(b *strings.Builder, p paint, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			row[i].text = foreign.Text(c.text)
			widths[i] = max(widths[i], ansi.StringWidthWc(row[i].text))
		}
	}
	for _, row := range rows {
		for len(row) > 1 && row[len(row)-1].text == "" { // no spaces at the end of a line
			row = row[:len(row)-1]
		}
		for i, c := range row {
			b.WriteString(p(c.colour, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-ansi.StringWidthWc(c.text)+2))
			}
		}
		b.WriteByte('\n')
	}
}

// document is v in JSON, for programs and for a terminal.
func document(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing JSON: %w", err)
	}
	return string(foreign.JSON(b)) + "\n", nil
}
