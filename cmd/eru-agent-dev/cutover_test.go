package main

import (
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
)

// TestOutcome explains a wait of HAProxy's only where there was one.
func TestOutcome(t *testing.T) {
	due := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	for longest, want := range map[time.Duration]string{
		70 * time.Millisecond:   "2 requests through HAProxy, failed: 0; the longest took 70 ms",
		1004 * time.Millisecond: "2 requests through HAProxy, failed: 0; the longest took 1004 ms (HAProxy waits up to a second for a connection to an address that is gone, then asks the next server)",
	} {
		got := outcome(load.Requests{{Due: due, Ended: due.Add(longest)}, {Due: due, Ended: due.Add(time.Millisecond)}})
		if got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
}
