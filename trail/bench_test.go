package trail_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/trail"
)

// full returns a trail of n containers, all of whose rings are full.
func full(n int) *trail.Trail {
	tr := trail.New()
	detail := string(make([]byte, 128))
	for i := range n {
		l := add(tr, fmt.Sprintf("%064d", i), fmt.Sprintf("web_main_%d", i))
		for j := range trail.MaxProbes {
			v := probe(j%2 == 0, "", j)
			v.Detail = detail + fmt.Sprint(j)
			l.Probed(v)
		}
		for range trail.MaxSteps {
			l.Stepped(trail.Step{From: "healthy", To: "unhealthy", Reason: "timeout", Detail: detail, Detected: time.Now()})
		}
	}
	return tr
}

// heap is what lives on the heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perContainer is what a container's memory may take at most, all rings full of
// flapping, in bytes.
const perContainer = 16 << 10

// TestMemory holds the bound.
func TestMemory(t *testing.T) {
	const n = 1000
	before := heap()
	tr := full(n)
	per := (heap() - before) / n
	runtime.KeepAlive(tr)
	t.Logf("%d bytes per container at %d containers", per, n)
	if per > perContainer {
		t.Errorf("%d bytes per container, at most %d are allowed", per, perContainer)
	}
}

// BenchmarkMemory prints what 1,000 containers take: healthy ones, whose probes
// all passed, and ones whose every ring is full.
func BenchmarkMemory(b *testing.B) {
	const n = 1000
	for name, fill := range map[string]func() *trail.Trail{
		"flapping": func() *trail.Trail { return full(n) },
		"steady": func() *trail.Trail {
			tr := trail.New()
			for i := range n {
				l := add(tr, fmt.Sprintf("%064d", i), fmt.Sprintf("web_main_%d", i))
				for j := range trail.MaxProbes {
					l.Probed(probe(true, "", j))
				}
				l.Stepped(trail.Step{To: "starting"})
				l.Stepped(trail.Step{From: "starting", To: "healthy"})
			}
			return tr
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				tr := fill()
				b.ReportMetric(float64(heap()-before)/n, "B/container")
				runtime.KeepAlive(tr)
			}
		})
	}
}

// BenchmarkProbed is what a probe pays.
func BenchmarkProbed(b *testing.B) {
	_, l := known()
	v := probe(true, "", 1)
	b.ReportAllocs()
	for b.Loop() {
		l.Probed(v)
	}
}

// BenchmarkFind is what who asks pays, among 1,000.
func BenchmarkFind(b *testing.B) {
	tr := full(1000)
	for b.Loop() {
		if _, err := tr.Find("web_main_500"); err != nil {
			b.Fatal(err)
		}
	}
}
