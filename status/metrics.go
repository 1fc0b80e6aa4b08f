package status

import "github.com/prometheus/client_golang/prometheus"

// WriterMetrics are what a Writer counts.
type WriterMetrics struct {
	queue        prometheus.Gauge
	errors       prometheus.Counter
	transactions prometheus.Counter
	keys         prometheus.Counter
	foreign      prometheus.Counter
	latency      prometheus.Histogram
}

// NewWriterMetrics registers the writer's metrics with reg.
func NewWriterMetrics(reg prometheus.Registerer) *WriterMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_agent_" + name, Help: help})
	}
	m := &WriterMetrics{
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_publish_queue", Help: "Keys whose value in etcd is not yet what it shall be.",
		}),
		errors:       counter("publish_errors_total", "Calls to etcd that failed."),
		transactions: counter("publish_transactions_total", "Transactions that etcd acknowledged."),
		keys:         counter("publish_keys_total", "Keys written or deleted."),
		foreign:      counter("publish_foreign_total", "Keys of this node that somebody else changed, found and written again."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eru_agent_detect_to_publish_seconds", Help: "From the cause of a status to etcd's acknowledgement.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}),
	}
	reg.MustRegister(m.queue, m.errors, m.transactions, m.keys, m.foreign, m.latency)
	return m
}
