package cmd

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// fit is text in exactly width columns of a terminal; what would pass them is cut.
func fit(text string, width int) string {
	text = ansi.TruncateWc(text, width, "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidthWc(text)))
}

// fitColumns makes widths fit into room, with two columns between each: the widest
// give way first, none below least, and what has no room then is left out from
// the end. The first is the last to give way.
func fitColumns(widths []int, room int) []int {
	const least, gap = 5, 2
	total := 0
	for _, w := range widths {
		total += w + gap
	}
	for total-gap > room {
		widest := 1
		for i := 1; i < len(widths); i++ {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widest == len(widths) || widths[widest] <= least {
			break
		}
		widths[widest]--
		total--
	}
	for len(widths) > 1 && total-gap > room {
		total -= widths[len(widths)-1] + gap
		widths = widths[:len(widths)-1]
	}
	widths[0] = min(widths[0], room)
	return widths
}
