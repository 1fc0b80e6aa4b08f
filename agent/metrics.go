package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

// Metrics are what the Agent counts.
type Metrics struct {
	containers  *prometheus.GaugeVec
	transitions *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	ignored     *prometheus.CounterVec
}

// NewMetrics registers the agent's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		containers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "eru_agent_containers", Help: "Containers of this node by state.",
		}, []string{"state"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_transitions_total", Help: "Changes of state; those of a service without containers here leave no series.",
		}, []string{"app", "entrypoint", "to", "reason"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_verdicts_dropped_total",
			Help: "Verdicts that were not published: stale (of an earlier life), starved (the agent lacked CPU or was stopped), own_fault (it lacked descriptors, ports or memory).",
		}, []string{"why"}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_drains_ignored_total",
			Help: "Operators' drains that changed nothing: json, size, key (cannot be read), unknown (of a container that is not here), over (by this machine's clock, when first seen).",
		}, []string{"why"}),
	}
	reg.MustRegister(m.containers, m.transitions, m.dropped, m.ignored)
	for _, s := range []status.State{
		status.StateStarting, status.StateHealthy, status.StateUnhealthy, status.StateDraining,
		status.StatePaused, status.StateStopped, status.StateInvalid, status.StateLost,
	} {
		m.containers.WithLabelValues(string(s))
	}
	for _, why := range []string{"stale", "starved", "own_fault"} {
		m.dropped.WithLabelValues(why)
	}
	for _, why := range []string{"json", "size", "key", "unknown", "over"} {
		m.ignored.WithLabelValues(why)
	}
	return m
}

func (m *Metrics) born(l *life) { m.containers.WithLabelValues(string(l.face().state)).Inc() }

// died takes a life out that is none of those left, and the series of its
// service with the last one.
func (m *Metrics) died(l *life, left map[string]*life) {
	m.containers.WithLabelValues(string(l.face().state)).Dec()
	for _, other := range left {
		if other.key.App == l.key.App && other.key.Entrypoint == l.key.Entrypoint {
			return
		}
	}
	m.transitions.DeletePartialMatch(prometheus.Labels{"app": l.key.App, "entrypoint": l.key.Entrypoint})
}

func (m *Metrics) shift(from, to status.State) {
	m.containers.WithLabelValues(string(from)).Dec()
	m.containers.WithLabelValues(string(to)).Inc()
}

func (m *Metrics) moved(l *life, from status.State) {
	now := l.face()
	m.shift(from, now.state)
	m.transitions.WithLabelValues(l.key.App, l.key.Entrypoint, string(now.state), now.reason).Inc()
}
