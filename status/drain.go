package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
)

// Drain is the value of drain/<node>/<container id>: an operator's wish that
// nothing new is sent to that container, or with WholeNode to any of the node.
type Drain struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Until is when the wish ends; zero for one that is taken back by hand.
	Until time.Time `json:"until,omitzero"`
}

// WholeNode stands for all containers of a node in the place of an ID.
const WholeNode = "*"

// DrainKey names whom a Drain is about.
type DrainKey struct {
	Node string
	ID   string // or WholeNode
}

const (
	// MaxDrainText is how much is read of each text of a Drain, in bytes.
	MaxDrainText = 100
	maxDrain     = 16 << 10
)

// Over says whether the wish has ended by the clock that says now.
func (d Drain) Over(now time.Time) bool { return !d.Until.IsZero() && !now.Before(d.Until) }

// Encode returns the JSON of d.
func (d Drain) Encode() []byte {
	d.By, d.Reason, d.Until = tidy(d.By), tidy(d.Reason), d.Until.UTC()
	return mustMarshal(d)
}

// DecodeDrain reads the value of a drain key. Its texts are made fit to be shown.
func DecodeDrain(value []byte) (Drain, error) {
	if len(value) > maxDrain {
		return Drain{}, unreadable{"size", fmt.Errorf("decoding a drain: %d bytes, and at most %d are read", len(value), maxDrain)}
	}
	var d Drain
	if err := json.Unmarshal(value, &d); err != nil {
		return Drain{}, fmt.Errorf("decoding a drain: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")) {
		return Drain{}, fmt.Errorf("decoding a drain: %s is no object", value)
	}
	if err := toUTC(&d.Until); err != nil {
		return Drain{}, fmt.Errorf("decoding a drain: %w", err)
	}
	d.By, d.Reason = tidy(d.By), tidy(d.Reason)
	return d, nil
}

// tidy is a text that somebody typed, fit to be shown, and without the white
// space around its words.
func tidy(s string) string {
	return foreign.Within(strings.Join(strings.Fields(s[:min(len(s), maxDrain)]), " "), MaxDrainText)
}

func (l layout) drains() string              { return l.prefix + "/drain/" }
func (l layout) drainsOf(node string) string { return l.drains() + node + "/" }
func (l layout) drain(k DrainKey) string     { return l.drainsOf(k.Node) + k.ID }

// parseDrain reads what follows drains() in a key.
func parseDrain(rest string) (DrainKey, error) {
	node, id, _ := strings.Cut(rest, "/")
	if !ValidName(node) || (id != WholeNode && !ValidName(id)) {
		return DrainKey{}, unreadable{"key", fmt.Errorf("reading the key of a drain: got %.300q, want <node>/<container id> or <node>/%s", rest, WholeNode)}
	}
	return DrainKey{Node: node, ID: id}, nil
}
