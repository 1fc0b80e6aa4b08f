package status

import (
	"sync/atomic"
	"time"
)

// WriterMetrics are what a Writer counts. Its zero value is ready, and it may be
// read at any time.
type WriterMetrics struct {
	// Published, if any, is told how long each status took from its cause to
	// etcd's acknowledgement. The Writer waits for it.
	Published func(time.Duration)

	queue                               atomic.Int64
	errors, transactions, keys, foreign atomic.Uint64
}

// WriterNumbers are what a Writer has counted by one moment.
type WriterNumbers struct {
	Queue        int64  // keys whose value in etcd is not yet what it shall be
	Errors       uint64 // calls to etcd that failed
	Transactions uint64 // transactions that etcd acknowledged
	Keys         uint64 // keys written or deleted
	Foreign      uint64 // keys that somebody else changed, and that were written again
}

// Numbers returns what has been counted so far.
func (m *WriterMetrics) Numbers() WriterNumbers {
	return WriterNumbers{Queue: m.queue.Load(), Errors: m.errors.Load(), Transactions: m.transactions.Load(), Keys: m.keys.Load(), Foreign: m.foreign.Load()}
}

func (m *WriterMetrics) published(took time.Duration) {
	if m.Published != nil {
		m.Published(took)
	}
}
