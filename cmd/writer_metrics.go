package cmd

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

// writerMetrics returns what the writer counts, and registers it with reg.
// Package status has no metrics of its own kind, because proxies link it.
func writerMetrics(reg prometheus.Registerer) *status.WriterMetrics {
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "eru_agent_detect_to_publish_seconds", Help: "From the cause of a status to etcd's acknowledgement.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
	})
	m := &status.WriterMetrics{Published: func(took time.Duration) { latency.Observe(took.Seconds()) }}
	counter := func(name, help string, of func(status.WriterNumbers) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eru_agent_" + name, Help: help},
			func() float64 { return float64(of(m.Numbers())) })
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "eru_agent_publish_queue", Help: "Keys whose value in etcd is not yet what it shall be.",
		}, func() float64 { return float64(m.Numbers().Queue) }),
		counter("publish_errors_total", "Calls to etcd that failed.", func(n status.WriterNumbers) uint64 { return n.Errors }),
		counter("publish_transactions_total", "Transactions that etcd acknowledged.", func(n status.WriterNumbers) uint64 { return n.Transactions }),
		counter("publish_keys_total", "Keys written or deleted.", func(n status.WriterNumbers) uint64 { return n.Keys }),
		counter("publish_foreign_total", "Keys of this node that somebody else changed, found and written again.",
			func(n status.WriterNumbers) uint64 { return n.Foreign }),
		latency)
	return m
}
