package page

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/trail"
)

// spark draws the last probes of a container side by side, the newest at the
// right: a bar for one that passed, as high as it took long, and a stroke that goes
// above all bars for one that did not.
type spark struct {
	Wide, High     int
	Passed, Failed string // paths
	Last           string // what the newest came to
	Failing        bool   // the newest
	Words          string // the same for who cannot see it
}

const (
	sparkStep = 3 // from bar to bar
	sparkHigh = 20
	sparkLow  = 2  // the least bar of one that passed
	sparkTop  = 12 // the highest
)

// newSpark returns nil of no probes.
func newSpark(probes []trail.Probe) *spark {
	if len(probes) == 0 {
		return nil
	}
	probes = probes[max(len(probes)-trail.MaxProbes, 0):]
	var passed, failed strings.Builder
	var took []time.Duration
	for _, p := range probes {
		if p.Pass {
			took = append(took, p.Total)
		}
	}
	slices.Sort(took)
	at := sparkStep * (trail.MaxProbes - len(probes))
	for _, p := range probes {
		x := at + sparkStep/2
		if p.Pass {
			high := sparkLow + int(float64(sparkTop-sparkLow)*share(p.Total, took[len(took)-1]))
			fmt.Fprintf(&passed, "M%d %dv-%d", x, sparkHigh, high)
		} else {
			fmt.Fprintf(&failed, "M%d %dV0", x, sparkHigh)
		}
		at += sparkStep
	}
	last := probes[len(probes)-1]
	s := &spark{
		Wide: sparkStep * trail.MaxProbes, High: sparkHigh, Passed: passed.String(), Failed: failed.String(),
		Failing: !last.Pass, Last: brief(last.Total),
	}
	if s.Failing {
		s.Last = foreign.Within(last.Reason, 24)
	}
	s.Words = words(probes, took)
	return s
}

// share is a as a part of b, at most 1.
func share(a, b time.Duration) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return min(float64(a)/float64(b), 1)
}

func words(probes []trail.Probe, took []time.Duration) string {
	text := fmt.Sprintf("last %d probes: ", len(probes))
	if len(probes) == 1 {
		text = "one probe: "
	}
	if failed := len(probes) - len(took); failed > 0 {
		text += fmt.Sprintf("%d failed, ", failed)
	} else {
		text += "all passed, "
	}
	if len(took) == 0 {
		return text + "none passed"
	}
	return text + fmt.Sprintf("median %s, slowest %s", brief(took[len(took)/2]), brief(took[len(took)-1]))
}

// brief writes a duration in two or three figures: 0.85 ms, 12 ms, 1.5 s.
func brief(d time.Duration) string {
	value, unit := float64(d)/float64(time.Millisecond), " ms"
	if value >= 999.5 {
		value, unit = value/1000, " s"
	}
	digits := 0
	switch {
	case value < 1:
		digits = 2
	case value < 10:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + unit
}

// spell writes a duration in its two largest units, as the script does.
func spell(d time.Duration) string {
	left := int64(d / time.Second)
	var parts []string
	for _, u := range []struct {
		name string
		size int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if len(parts) == 0 && left < u.size && u.size > 1 {
			continue
		}
		parts = append(parts, strconv.FormatInt(left/u.size, 10)+u.name)
		if left %= u.size; len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}
