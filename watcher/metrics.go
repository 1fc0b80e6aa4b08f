package watcher

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what the Watcher counts.
type Metrics struct {
	events      prometheus.Counter
	reconnects  prometheus.Counter
	corrections prometheus.Counter
}

// NewMetrics registers the watcher's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_agent_docker_" + name, Help: help})
	}
	m := &Metrics{
		events:      counter("events_total", "Events heard from Docker."),
		reconnects:  counter("reconnects_total", "Times that Docker's event stream ended or could not be opened."),
		corrections: counter("resync_corrections_total", "Containers that a listing showed otherwise than the events had."),
	}
	reg.MustRegister(m.events, m.reconnects, m.corrections)
	return m
}
