package cmd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestWriterMetrics holds the names of what the writer counts, and which number
// stands under which name.
func TestWriterMetrics(t *testing.T) {
	etcd := etcdtest.Start(t)
	store := status.NewStore(status.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: "/eru", Timeout: 10 * time.Second}, zap.NewNop())
	reg := prometheus.NewPedanticRegistry()
	w := status.NewWriter(store, status.Identity{Node: "node1", Instance: "i1"}, zap.NewNop(), writerMetrics(reg))
	for n := range 130 {
		k := status.Key{App: "shop", Entrypoint: "web", Node: "node1", ID: fmt.Sprintf("c%d", n)}
		w.Set(k, status.Status{ID: k.ID, State: status.StateHealthy}, time.Now())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error)
	go func() { ended <- w.Run(ctx, func(context.Context, []status.Found) error { return nil }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = store.Close()
	})
	if err := w.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(counted, 130, 0, 2)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "eru_agent_publish_errors_total", "eru_agent_publish_foreign_total",
		"eru_agent_publish_keys_total", "eru_agent_publish_queue", "eru_agent_publish_transactions_total"); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if f := families[0]; f.GetName() != "eru_agent_detect_to_publish_seconds" || f.GetMetric()[0].GetHistogram().GetSampleCount() != 130 {
		t.Errorf("of the time to publish: %v", f)
	}
}

// counted takes keys, what is in the queue, and transactions.
const counted = `# HELP eru_agent_publish_errors_total Calls to etcd that failed.
# TYPE eru_agent_publish_errors_total counter
eru_agent_publish_errors_total 0
# HELP eru_agent_publish_foreign_total Keys of this node that somebody else changed, found and written again.
# TYPE eru_agent_publish_foreign_total counter
eru_agent_publish_foreign_total 0
# HELP eru_agent_publish_keys_total Keys written or deleted.
# TYPE eru_agent_publish_keys_total counter
eru_agent_publish_keys_total %d
# HELP eru_agent_publish_queue Keys whose value in etcd is not yet what it shall be.
# TYPE eru_agent_publish_queue gauge
eru_agent_publish_queue %d
# HELP eru_agent_publish_transactions_total Transactions that etcd acknowledged.
# TYPE eru_agent_publish_transactions_total counter
eru_agent_publish_transactions_total %d
`
