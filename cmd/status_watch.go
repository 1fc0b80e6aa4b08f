package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// line prints one change, for programs and for terminals that are none.
func (o statusOptions) line(out, errs io.Writer, c status.Change) {
	if c.Lost != nil {
		_, _ = fmt.Fprintln(errs, "etcd cannot be followed, the last known stands:", c.Lost)
		return
	}
	if o.output == "json" {
		o.jsonLine(out, c)
		return
	}
	now := time.Now().Format("15:04:05.000")
	switch {
	case c.Put != nil && o.wants(c.Put.Key):
		s := c.Put.Status
		_, _ = fmt.Fprintln(out, foreign.Lines(strings.TrimSpace(fmt.Sprintf("%s %-9s %s/%s %s %s %s", now, s.State, c.Put.Key.App, c.Put.Key.Entrypoint, c.Put.Key.Node, foreign.Text(s.Name), foreign.Text(why(s))))))
	case c.Deleted != nil && o.wants(*c.Deleted):
		_, _ = fmt.Fprintf(out, "%s %-9s %s/%s %s %.12s\n", now, "gone", c.Deleted.App, c.Deleted.Entrypoint, c.Deleted.Node, c.Deleted.ID)
	}
}

func (o statusOptions) jsonLine(out io.Writer, c status.Change) {
	var v any
	switch {
	case c.Put != nil && o.wants(c.Put.Key):
		v = struct {
			Change string `json:"change"`
			record
		}{"put", newRecord(*c.Put)}
	case c.Deleted != nil && o.wants(*c.Deleted):
		v = map[string]string{"change": "deleted", "app": c.Deleted.App, "entrypoint": c.Deleted.Entrypoint, "node": c.Deleted.Node, "id": c.Deleted.ID}
	case c.NodeUp != nil:
		v = map[string]any{"change": "node", "node": c.NodeUp}
	case c.NodeGone != "":
		v = map[string]string{"change": "node_gone", "node": c.NodeGone}
	default:
		return
	}
	if b, err := json.Marshal(v); err == nil {
		_, _ = fmt.Fprintln(out, string(foreign.JSON(b))) // a closed pipe ends the command by SIGPIPE
	}
}

// redrawEvery bounds how often the screen is drawn.
const redrawEvery = 100 * time.Millisecond

// watchScreen keeps a live table on a terminal until ctx ends.
func watchScreen(ctx context.Context, store *status.Store, o statusOptions, out io.Writer) error {
	changes := make(chan status.Change)
	followed := make(chan error, 1)
	go func() {
		followed <- store.Follow(ctx, func(c status.Change) {
			select {
			case changes <- c:
			case <-ctx.Done():
			}
		})
	}()
	// The other screen of the terminal, without cursor; both given back at the end.
	_, _ = io.WriteString(out, "\x1b[?1049h\x1b[?25l")
	defer func() { _, _ = io.WriteString(out, "\x1b[?25h\x1b[?1049l") }()
	view := status.NewTree()
	lost := ""
	draw := time.NewTicker(redrawEvery)
	defer draw.Stop()
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	dirty := true
	for {
		select {
		case <-ctx.Done():
			return <-followed
		case c := <-changes:
			view.Apply(c)
			dirty = true
			if c.Lost != nil {
				lost = c.Lost.Error()
			} else if c.Synced {
				lost = ""
			}
		case <-seconds.C:
			dirty = true // ages
		case <-draw.C:
			if dirty {
				_, _ = io.WriteString(out, o.screen(view, lost, out))
				dirty = false
			}
		}
	}
}

// screen is all that stands on the terminal, cut to its size: a wrapped line
// would push the head out of sight.
func (o statusOptions) screen(v status.Tree, lost string, out io.Writer) string {
	p := painter(out)
	width, height := terminalSize(out)
	head := "eru-agent status · live · Ctrl-C ends"
	if lost != "" {
		head = "etcd cannot be followed, the last known stands: " + lost
	}
	lines := strings.Split(strings.TrimSuffix(o.table(v, p, time.Now(), width), "\n"), "\n")
	if room := height - 3; room > 0 && len(lines) > room {
		lines = append(lines[:room], p(grey, fmt.Sprintf("… %d more; --app and --node show fewer", len(lines)-room)))
	}
	lines = append([]string{p(grey, cut(head, width, 0)), ""}, lines...)
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}
