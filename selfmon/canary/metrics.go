package canary

import "github.com/prometheus/client_golang/prometheus"

// What became of a flip.
const (
	seen   = "seen"
	missed = "missed"
)

type metrics struct {
	detect, publish, watch prometheus.Histogram
	flips                  *prometheus.CounterVec
	last                   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	histogram := func(stage, help string, buckets ...float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eru_agent_canary_" + stage + "_seconds", Help: help, Buckets: buckets})
	}
	etcd := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}
	m := &metrics{
		detect:  histogram("detect", "From a flip of the canary's target to the verdict that finds it.", .1, .25, .5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60),
		publish: histogram("publish", "From that verdict to etcd's acknowledgement.", etcd...),
		watch:   histogram("watch", "From that verdict to the word of a watch on the key.", etcd...),
		flips: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_canary_flips_total", Help: "Flips of the canary that are over: seen by a watch of etcd before the next one, or missed.",
		}, []string{"result"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_canary_last_seen_timestamp_seconds", Help: "When a flip was last seen by a watch of etcd; 0 before the first.",
		}),
	}
	reg.MustRegister(m.detect, m.publish, m.watch, m.flips, m.last)
	for _, result := range []string{seen, missed} {
		m.flips.WithLabelValues(result)
	}
	return m
}
