package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// isTerminal says whether w is a person's terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalSize returns the columns and rows of w, 0 where they are not known.
func terminalSize(w io.Writer) (int, int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
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

// writeTable aligns rows in columns, the last of which is as wide as it is. What
// would pass width is cut; width 0 is no bound. Every text is made fit to be shown,
// also in rows itself.
func writeTable(b *strings.Builder, p paint, rows [][]cell, width int) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			row[i].text = foreign.Text(c.text)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	for _, row := range rows {
		for len(row) > 1 && row[len(row)-1].text == "" { // no spaces at the end of a line
			row = row[:len(row)-1]
		}
		used := 0
		for i, c := range row {
			text := cut(c.text, width, used)
			b.WriteString(p(c.colour, text))
			used += widths[i] + 2
			if i == len(row)-1 || (width > 0 && used >= width) {
				break
			}
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2))
		}
		b.WriteByte('\n')
	}
}

// cut shortens text that begins in column used and must not pass width.
func cut(text string, width, used int) string {
	room := width - used
	if width == 0 || utf8.RuneCountInString(text) <= room {
		return text
	}
	if room < 1 {
		return ""
	}
	return string([]rune(text)[:room-1]) + "…"
}

// document is v in JSON, for programs and for a terminal.
func document(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing JSON: %w", err)
	}
	return string(foreign.JSON(b)) + "\n", nil
}
