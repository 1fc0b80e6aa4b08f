package stage

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
)

// Traffic is what all members have been asked for and have told since they
// started, and what that took.
type Traffic struct {
	Requests  map[string]float64 // that clients sent, by gRPC method; each message of a stream is one
	Responses float64            // sent to watchers: each wakes a client
	Events    float64            // that stood in them
	Watchers  float64            // that there are
	Puts      float64            // keys written; each member has the same
	Revision  int64
	CPU       time.Duration
	Resident  int64 // bytes, of the largest member
	Database  int64 // bytes, of the largest member
}

// Minus is what has happened since an earlier reading; what is no sum stays.
func (t Traffic) Minus(b Traffic) Traffic {
	t.Requests = maps.Clone(t.Requests)
	for method, n := range b.Requests {
		t.Requests[method] -= n
	}
	t.Responses -= b.Responses
	t.Events -= b.Events
	t.Puts -= b.Puts
	t.Revision -= b.Revision
	t.CPU -= b.CPU
	return t
}

// Traffic reads it.
func (e *Etcd) Traffic(ctx context.Context) (Traffic, error) {
	t := Traffic{Requests: map[string]float64{}}
	for _, m := range e.Members {
		status, err := e.Client.Status(ctx, m.Endpoint)
		if err != nil {
			return t, fmt.Errorf("asking etcd for its revision: %w", err)
		}
		text, err := Get(ctx, m.Endpoint+"/metrics")
		if err != nil {
			return t, err
		}
		cpu, err := kernel.CPU(m.Pid())
		if err != nil {
			return t, err
		}
		memory, err := kernel.MemoryOf(m.Pid())
		if err != nil {
			return t, err
		}
		t.read(text)
		t.CPU += cpu
		t.Resident, t.Database = max(t.Resident, memory.Resident), max(t.Database, status.DbSize)
		t.Revision, t.Puts = max(t.Revision, status.Header.Revision), max(t.Puts, sum(text, "etcd_mvcc_put_total"))
	}
	return t, nil
}

// read adds one member's counters.
func (t *Traffic) read(text string) {
	t.Responses += sum(text, "grpc_server_msg_sent_total", `grpc_method="Watch"`)
	t.Events += sum(text, "etcd_debugging_mvcc_events_total")
	t.Watchers += sum(text, "etcd_debugging_mvcc_watcher_total")
	for line := range strings.Lines(text) {
		labels, found := strings.CutPrefix(line, "grpc_server_msg_received_total{")
		if !found {
			continue
		}
		_, rest, _ := strings.Cut(labels, `grpc_method="`)
		method, _, _ := strings.Cut(rest, `"`)
		t.Requests[method] += sum(line, "grpc_server_msg_received_total")
	}
	// Asking for the revision is this reader's own.
	delete(t.Requests, "Status")
}
