package trail

import (
	"math"
	"time"
)

// shot is a Probe as it is kept: 32 bytes of 80.
type shot struct {
	at     int64 // nanoseconds since 1970
	phases [5]uint32
	reason uint8
	pass   bool
	void   bool
}

func newShot(p Probe, words *reasons) shot {
	s := shot{at: p.At.UnixNano(), reason: words.number(p.Reason), pass: p.Pass, void: p.Void}
	for i, d := range [...]time.Duration{p.Connect, p.TLS, p.Write, p.FirstByte, p.Total} {
		s.phases[i] = uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
	}
	return s
}

func (s shot) probe(words *reasons) Probe {
	phase := func(i int) time.Duration { return time.Duration(s.phases[i]) * time.Microsecond }
	return Probe{At: time.Unix(0, s.at), Pass: s.pass, Reason: words[s.reason], Void: s.void,
		Phases: Phases{Connect: phase(0), TLS: phase(1), Write: phase(2), FirstByte: phase(3), Total: phase(4)}}
}

// reasons are all that were heard. The list of them is closed, so they are few; a
// probe of an owner's own that makes more of them is not remembered by word.
type reasons [math.MaxUint8 + 1]string

const otherReason = "other"

func (r *reasons) number(word string) uint8 {
	for i := range r {
		switch {
		case r[i] == word:
			return uint8(i)
		case i == len(r)-1:
			r[i] = otherReason
			return uint8(i)
		case i > 0 && r[i] == "":
			r[i] = word
			return uint8(i)
		}
	}
	return 0
}
