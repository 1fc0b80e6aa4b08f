package healthcheck

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what the Runner counts.
type Metrics struct {
	probes   *prometheus.CounterVec
	duration prometheus.Histogram
	lag      prometheus.Histogram
}

// NewMetrics registers the runner's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_probes_total", Help: "Probes made, by kind and by result: pass, or the reason of the failure.",
		}, []string{"kind", "result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eru_agent_probe_duration_seconds", Help: "Time of one probe: connect, TLS and answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eru_agent_scheduler_lag_seconds", Help: "How late probes started: the agent's own lack of CPU or of free slots.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	reg.MustRegister(m.probes, m.duration, m.lag)
	return m
}

func (m *Metrics) observe(kind string, v Verdict) {
	result := string(v.Reason)
	if v.Pass {
		result = "pass"
	}
	m.probes.WithLabelValues(kind, result).Inc()
	m.duration.Observe(v.Timings.Total.Seconds())
}
