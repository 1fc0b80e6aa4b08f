package probecost

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if served, err := Serve(); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // the copy that serves is a process of its own
		}
		return
	}
	m.Run()
}

// The figures are for `make bench`; here only that every method probes.
func TestMeasurePrintsARowForEachMethod(t *testing.T) {
	var out bytes.Buffer
	if err := measure(t.Context(), &out, 5, []span{{100 * time.Millisecond, 400 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(out.String(), "\n"); rows != 2+len(methods()) {
		t.Errorf("%d lines, want %d:\n%s", rows, 2+len(methods()), out.String())
	}
}

// BenchmarkTable is the table of `make bench`; it takes minutes whatever -benchtime says.
func BenchmarkTable(b *testing.B) {
	if err := Measure(b.Context(), os.Stdout); err != nil {
		b.Fatal(err)
	}
}
