package status

import (
	"math/rand/v2"
	"time"
)

const (
	minWait = 50 * time.Millisecond
	// maxWait bounds the back-off, so that what etcd missed is written soon
	// after its return.
	maxWait = time.Second
)

// backOff paces what is tried again; its zero value begins with minWait.
type backOff struct{ wait time.Duration }

// next is how long to wait now. It grows by a half each time, and is drawn from
// around it, so that those who failed together do not try again together.
func (b *backOff) next() time.Duration {
	b.wait = min(max(b.wait*3/2, minWait), maxWait)
	return b.wait/2 + rand.N(b.wait)
}

// reset begins anew, because something went well.
func (b *backOff) reset() { b.wait = 0 }
