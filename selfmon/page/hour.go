package page

import (
	"slices"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// hour is what has changed in the last hour: a lane for each container that has,
// and the newest changes in words.
type hour struct {
	Moves     int // all of them
	From      string
	Wide      int
	Lanes     []lane
	MoreLanes int
	Latest    []move
}

// lane is one container's hour.
type lane struct {
	Label string
	Bands []band
}

// band is a time in one state. Its height tells states apart as its colour does.
type band struct {
	State               string
	X, Y, Width, Height int
}

// move is a change of state in words.
type move struct {
	At             time.Time
	To, Label, Why string
}

const (
	hourStep  = 5 * time.Second // of one unit of a lane's width
	hourWide  = int(time.Hour / hourStep)
	laneHigh  = 16
	leastBand = 3 // units: what was short is seen, too
	maxLanes  = 12
	maxLatest = 12
)

// newHour draws the hour before now. It ends at the next full step of a lane, so
// that the drawing stays the same for a while when nothing happens.
func newHour(steps []trail.Step, now time.Time) hour {
	const redraw = 15 * time.Second
	end := now.Truncate(redraw).Add(redraw)
	begin := end.Add(-time.Hour)
	steps = slices.DeleteFunc(slices.Clone(steps), func(s trail.Step) bool { return s.Detected.Before(begin) || s.From == s.To })
	h := hour{Moves: len(steps), Wide: hourWide, From: "−60"}
	byID := map[string][]trail.Step{}
	var ids []string // the one that has changed last first
	for _, s := range slices.Backward(steps) {
		if len(byID[s.ID]) == 0 {
			ids = append(ids, s.ID)
		}
		byID[s.ID] = append(byID[s.ID], s)
		if len(h.Latest) < maxLatest {
			h.Latest = append(h.Latest, move{s.Detected, foreign.Within(s.To, 16), label(s), why(s.Reason, s.Detail)})
		}
	}
	h.MoreLanes = max(len(ids)-maxLanes, 0)
	for _, id := range ids[:len(ids)-h.MoreLanes] {
		h.Lanes = append(h.Lanes, newLane(byID[id], begin))
	}
	return h
}

// label names a container: by its own name if that tells its app, else by both.
func label(s trail.Step) string {
	if s.Name != "" && strings.Contains(s.Name, s.App) {
		return foreign.Within(s.Name, 96)
	}
	return foreign.Within(strings.TrimSpace(s.App+"/"+s.Entrypoint+" "+s.Name), 96)
}

// newLane draws one container's steps, the newest first.
func newLane(steps []trail.Step, begin time.Time) lane {
	l := lane{Label: label(steps[0])}
	right := hourWide
	for _, s := range steps {
		x := min(max(int(s.Detected.Sub(begin)/hourStep), 0), hourWide-leastBand)
		l.add(s.To, x, max(right, x+leastBand))
		right = x
	}
	l.add(steps[len(steps)-1].From, 0, right)
	slices.Reverse(l.Bands) // what is newer lies above
	return l
}

func (l *lane) add(state string, from, to int) {
	if state == "" || to <= from {
		return
	}
	high := 10
	switch status.State(state) {
	case status.StateHealthy:
		high = 4
	case status.StateUnhealthy, status.StateInvalid, status.StateLost:
		high = laneHigh
	case status.StateStopped:
		high = 1
	}
	l.Bands = append(l.Bands, band{foreign.Within(state, 16), from, (laneHigh - high) / 2, to - from, high})
}
