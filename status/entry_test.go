package status

import (
	"bytes"
	"testing"
)

// The sequence that is put into an encoded status is the one that would have been encoded.
func TestStamp(t *testing.T) {
	for _, s := range []Status{{}, {ID: "c1", State: StateHealthy, Detail: `"seq":0}`}, {Name: "\xff"}} {
		for _, seq := range []uint64{0, 1, 10, 1<<64 - 1} {
			if got, want := stamp(s.Encode(0), seq), s.Encode(seq); !bytes.Equal(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	if plain := (Node{}).Encode(); !bytes.Equal(stamp(plain, 7), plain) {
		t.Error("a node's value has a sequence")
	}
}
