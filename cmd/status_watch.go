package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// changeLines prints changes one by one. With a state it prints those of
// containers that are in it, and the change by which one leaves it.
type changeLines struct {
	statusOptions
	inside map[status.Key]bool // those that are in the state
}

func (o statusOptions) lines() changeLines { return changeLines{o, map[status.Key]bool{}} }

func (l changeLines) print(out, errs io.Writer, c status.Change) {
	if l.state == "" || l.concerns(c) {
		l.line(out, errs, c)
	}
}

// concerns says whether a change has to do with the wanted state.
func (l changeLines) concerns(c status.Change) bool {
	switch {
	case c.Put != nil:
		was, is := l.inside[c.Put.Key], l.inState(c.Put.Status.State)
		if is {
			l.inside[c.Put.Key] = true
		} else {
			delete(l.inside, c.Put.Key)
		}
		return was || is
	case c.Deleted != nil:
		was := l.inside[*c.Deleted]
		delete(l.inside, *c.Deleted)
		return was
	}
	return true
}

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
