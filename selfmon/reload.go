package selfmon

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Change is a key of the configuration whose value is another than before.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// Reload is what came of reading the configuration again.
type Reload struct {
	At      time.Time `json:"at"` // when reading began
	Changed []Change  `json:"changed"`
	Refused []Change  `json:"refused"`         // new in the file, and taken only by a restart
	Error   string    `json:"error,omitempty"` // nothing was changed, and why
}

// Process is what whoever wants to signal the agent has to know of it.
type Process struct {
	PID       int    `json:"pid"`
	Namespace string `json:"namespace"` // in which the PID counts, as in /proc/self/ns/pid
	Config    string `json:"config"`    // file that is read, absolute
}

// process is this one.
func (s *Selfmon) process() Process {
	space, _ := os.Readlink("/proc/self/ns/pid") // "" matches no other
	return Process{PID: os.Getpid(), Namespace: space, Config: s.cfg.File}
}

// Reloaded tells what came of reading the configuration again: /status and the
// metrics show it.
func (s *Selfmon) Reloaded(r Reload) {
	s.reloads.last.Store(&r)
	if r.Error != "" {
		s.reloads.total.WithLabelValues("refused").Inc()
		s.reloads.well.Set(0)
		return
	}
	s.reloads.total.WithLabelValues("applied").Inc()
	s.reloads.loaded(r.At)
}

// reloads is the last one, and the count of all.
type reloads struct {
	last  atomic.Pointer[Reload] // nil before the first
	total *prometheus.CounterVec
	well  prometheus.Gauge
	at    prometheus.Gauge
}

func (r *reloads) loaded(at time.Time) {
	r.well.Set(1)
	r.at.Set(float64(at.UnixMilli()) / 1000)
}

// newReloads begins with the configuration that the agent was started with.
func newReloads(reg prometheus.Registerer) *reloads {
	r := &reloads{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_agent_reloads_total", Help: "Times that the configuration was read again: applied, or refused as a whole.",
		}, []string{"result"}),
		well: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_config_last_reload_successful", Help: "1 unless the configuration that was read last is wrong, and an older one in force.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was read.",
		}),
	}
	r.total.WithLabelValues("applied")
	r.total.WithLabelValues("refused")
	r.loaded(time.Now())
	reg.MustRegister(r.total, r.well, r.at)
	return r
}
