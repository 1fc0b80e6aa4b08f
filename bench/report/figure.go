// Package report owns what a run of the bench says: figures with their
// yardsticks and limits, the machine that they are of, and how they are shown as
// a table, as JSON and as a picture.
package report

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Figure is one line of the table.
type Figure struct {
	Group   string    `json:"group"` // which measurement it is of
	What    string    `json:"what"`
	Of      string    `json:"of,omitempty"` // whom, in a run that compares
	Unit    string    `json:"unit"`         // us, ms, MB, or "" for a number
	Ours    []float64 `json:"ours"`         // one for each round
	Stick   string    `json:"yardstick,omitempty"`
	Stuck   []float64 `json:"yardstick_figures,omitempty"` // in the same rounds
	Limit   float64   `json:"limit"`
	LimitOf string    `json:"limit_of,omitempty"` // "figure", "ratio" or, without a limit, ""
	Stretch bool      `json:"stretch,omitempty"`  // a wish rather than a limit
	Worst   bool      `json:"worst,omitempty"`    // the worst round counts, not the median
	Note    string    `json:"note,omitempty"`
}

// MarshalJSON adds what follows from the rounds.
func (f Figure) MarshalJSON() ([]byte, error) {
	type plain Figure
	all := struct {
		plain
		Value   *float64 `json:"value"`
		Ratio   *float64 `json:"ratio,omitempty"`
		Verdict string   `json:"verdict,omitempty"`
	}{plain: plain(f), Verdict: f.Verdict()}
	for _, n := range []struct {
		from float64
		to   **float64
	}{{f.Value(), &all.Value}, {f.Ratio(), &all.Ratio}} {
		if !math.IsNaN(n.from) {
			*n.to = &n.from
		}
	}
	return json.Marshal(all)
}

// AtMost bounds the figure.
func (f Figure) AtMost(limit float64) Figure {
	f.Limit, f.LimitOf = limit, "figure"
	return f
}

// AtMostTimes bounds the ratio of the figure to the yardstick.
func (f Figure) AtMostTimes(limit float64) Figure {
	f.Limit, f.LimitOf = limit, "ratio"
	return f
}

// Value is what stands for the rounds: their median, or the worst of them.
func (f Figure) Value() float64 {
	if f.Worst && len(f.Ours) > 0 {
		return slices.Max(f.Ours)
	}
	return Median(f.Ours)
}

// Ratio of ours to the yardstick: the median of the rounds' own ratios, because
// what else the machine does changes from round to round and less within one.
// NaN if there is no yardstick.
func (f Figure) Ratio() float64 {
	var ratios []float64
	for i := range min(len(f.Ours), len(f.Stuck)) {
		if f.Stuck[i] > 0 {
			ratios = append(ratios, f.Ours[i]/f.Stuck[i])
		}
	}
	return Median(ratios)
}

// Verdict is "met", "missed" or, for a figure without a limit, "".
func (f Figure) Verdict() string {
	if f.LimitOf == "" {
		return ""
	}
	value := f.Value()
	if f.LimitOf == "ratio" {
		value = f.Ratio()
	}
	word := "met"
	if math.IsNaN(value) || value > f.Limit {
		word = "missed"
	}
	if f.Stretch {
		word += " (stretch)"
	}
	return word
}

// Median is NaN of nothing.
func Median(of []float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(of))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Microseconds is a time for a Figure in us.
func Microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Milliseconds is a time for a Figure in ms.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Megabytes is a size for a Figure in MB.
func Megabytes(n int64) float64 { return float64(n) / (1 << 20) }
