package load

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Requests are some of a load's.
type Requests []Request

// Between are those that were due in a span of time.
func (rs Requests) Between(begin, end time.Time) Requests {
	return rs.which(func(r Request) bool { return !r.Due.Before(begin) && r.Due.Before(end) })
}

// Failed are those that were not served.
func (rs Requests) Failed() Requests {
	return rs.which(func(r Request) bool { return r.Failed != nil })
}

// ServedBy are those that a server answered.
func (rs Requests) ServedBy(name string) Requests {
	return rs.which(func(r Request) bool { return r.By == name })
}

func (rs Requests) which(ok func(Request) bool) Requests {
	var some Requests
	for _, r := range rs {
		if ok(r) {
			some = append(some, r)
		}
	}
	return some
}

// Again is how often the client itself sent one anew.
func (rs Requests) Again() int {
	n := 0
	for _, r := range rs {
		n += r.Again
	}
	return n
}

// LastSent is when the last of them was sent; zero if there is none.
func (rs Requests) LastSent() time.Time {
	var last time.Time
	for _, r := range rs {
		if r.Sent.After(last) {
			last = r.Sent
		}
	}
	return last
}

// Latency is that of the q-th part of them: 0.5 for the median, 1 for the
// longest. 0 if there is none.
func (rs Requests) Latency(q float64) time.Duration {
	if len(rs) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(rs), func(a, b Request) int { return cmp.Compare(a.Latency(), b.Latency()) })
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)].Latency()
}

// Why says in one line how they failed, the most frequent way first.
func (rs Requests) Why() string {
	counts := map[string]int{}
	for _, r := range rs.Failed() {
		counts[r.Failed.Error()]++
	}
	ways := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, way := range ways {
		ways[i] = fmt.Sprintf("%d: %s", counts[way], way)
	}
	return strings.Join(ways, "; ")
}
