package monitor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

// Metrics are what a Monitor counts.
type Metrics struct {
	leader prometheus.Gauge
	nodes  *prometheus.GaugeVec
	cuts   *prometheus.CounterVec
	guard  prometheus.Gauge
}

// The states of nodes, as the elected monitor counts them.
const (
	nodeAlive  = "alive"
	nodeSilent = "silent" // not judged yet, or left alone for its grace
	nodeWard   = "surrogate"
)

// NewMetrics registers the monitor's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		leader: prometheus.NewGauge(prometheus.GaugeOpts{Name: "eru_agent_selfmon_leader", Help: "1 while this agent is the elected monitor."}),
		nodes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "eru_agent_selfmon_nodes",
			Help: "Nodes as the elected monitor sees them: alive, silent (not judged yet), surrogate (looked after by the monitor); 0 on the others.",
		}, []string{"state"}),
		cuts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_selfmon_cut_total", Help: "Containers of silent nodes that this monitor took out of service, by the state that it wrote.",
		}, []string{"to"}),
		guard: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_selfmon_guard_active", Help: "1 while the monitor cuts nothing, because too many nodes are silent or it cannot reach anybody itself.",
		}),
	}
	reg.MustRegister(m.leader, m.nodes, m.cuts, m.guard)
	for _, state := range []string{nodeAlive, nodeSilent, nodeWard} {
		m.nodes.WithLabelValues(state)
	}
	for _, to := range []status.State{status.StateUnhealthy, status.StateLost} {
		m.cuts.WithLabelValues(string(to))
	}
	return m
}

func (m *Metrics) census(alive, silent, wards int) {
	m.nodes.WithLabelValues(nodeAlive).Set(float64(alive))
	m.nodes.WithLabelValues(nodeSilent).Set(float64(silent))
	m.nodes.WithLabelValues(nodeWard).Set(float64(wards))
}

func (m *Metrics) resign() {
	m.leader.Set(0)
	m.guard.Set(0)
	m.census(0, 0, 0)
}
