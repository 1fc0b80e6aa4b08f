package healthcheck

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Only from inside can a test hold the place of the one match.

func TestExpressionsWithinBounds(t *testing.T) {
	for expr, fine := range map[string]bool{
		`"status":\s*"(ok|up)"`: true, `^ok$`: true, `(?i)healthy`: true, `v?\d+\.\d+\.\d+`: true,
		`(?i)"status"\s*:\s*"(up|ok|pass|healthy)"`:         true,
		`(?s)"db":\{"status":"UP".*"disk":\{"status":"UP"`:  true,
		`(a|b|ab)*(?:[ab]?){130}c`:                          false,
		`(?:\pL?){40}\d`:                                    false,
		strings.Repeat("a", maxSteps+1):                     false,
		`(((((((((((((((((.*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)c`: false,
	} {
		if _, err := compile(expr); (err == nil) != fine {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestAllBodiesShareOnePlace(t *testing.T) {
	parser := NewParser(Config{})
	for range 2 {
		s := newSettings("http")
		s.values["body"] = setting{value: "ok"}
		b, err := parser.probers[0].(httpProber).readBody(s, "GET")
		if err != nil || b.turn == nil || b.turn != parser.probers[0].(httpProber).turn || cap(b.turn) != 1 {
			t.Errorf("%+v, %v", b, err)
		}
	}
}

// What the agent makes of a body that came in time is neither the probe's time
// nor the container's fault.
func TestMatchingIsNotTheProbesTime(t *testing.T) {
	for name, tt := range map[string]struct {
		busy, took time.Duration
		reason     Reason
	}{
		"its turn comes":       {busy: time.Second, took: time.Second},
		"its turn never comes": {busy: time.Hour, took: 2 * time.Second, reason: ReasonAgent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bodyCheck{want: regexp.MustCompile("ok"), turn: make(chan struct{}, 1)}
				b.turn <- struct{}{}
				free := time.AfterFunc(tt.busy, func() { <-b.turn })
				defer free.Stop()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				v := b.judge(ctx, strings.NewReader("ok"), start.Add(-time.Millisecond), Verdict{})
				if took := time.Since(start); v.Pass != (tt.reason == "") || v.Reason != tt.reason || took != tt.took || v.Timings.Total != time.Millisecond {
					t.Errorf("%+v after %s", v, took)
				}
			})
		})
	}
}

// BenchmarkWorstMatch has the costliest expressions that were found within the
// bounds.
func BenchmarkWorstMatch(b *testing.B) {
	body := []byte(strings.Repeat("ab", maxBody/2))
	for _, expr := range []string{`(?:\pL?){22}\d`, `(?i)(?:[\pL]?){22}\bc`, `(a|b|ab)*(?:[ab]?){19}c`, `(?:[a-c\pL]*[b-d\pN]*){11}\d`} {
		want, err := compile(expr)
		if err != nil {
			b.Fatal(expr, err)
		}
		b.Run(expr, func(b *testing.B) {
			for b.Loop() {
				want.Match(body)
			}
		})
	}
}
