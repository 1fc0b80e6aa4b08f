package selfmon

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/projecteru2/eru-agent/selfmon/page"
	"github.com/projecteru2/eru-agent/status"
)

// figures are the agent's own metrics at one moment. What the page says of the
// agent is what /metrics says, so that the two cannot differ.
type figures map[string]*dto.MetricFamily

// gather reads all metrics; one that cannot be read is left out.
func gather(from prometheus.Gatherer) figures {
	families, _ := from.Gather() // /metrics tells of errors
	f := make(figures, len(families))
	for _, family := range families {
		f[family.GetName()] = family
	}
	return f
}

// sum adds up all series of a counter or gauge that have the label's value, or all
// if label is "".
func (f figures) sum(name, label, value string) float64 {
	total := 0.0
	for _, m := range f[name].GetMetric() {
		fits := label == ""
		for _, l := range m.GetLabel() {
			fits = fits || l.GetName() == label && l.GetValue() == value
		}
		if fits {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

// mostly is what 99 of 100 observations of a histogram were within, and how many
// there were. It is +Inf if that is beyond the last bucket.
func (f figures) mostly(name string) (float64, uint64) {
	series := f[name].GetMetric()
	if len(series) == 0 {
		return 0, 0
	}
	h := series[0].GetHistogram()
	for _, b := range h.GetBucket() {
		if float64(b.GetCumulativeCount()) >= 0.99*float64(h.GetSampleCount()) {
			return b.GetUpperBound(), h.GetSampleCount()
		}
	}
	return math.Inf(1), h.GetSampleCount()
}

// within writes a bound of mostly.
func within(seconds float64) string {
	if math.IsInf(seconds, 1) {
		return "beyond all bounds"
	}
	return "≤ " + time.Duration(seconds*float64(time.Second)).Round(time.Microsecond).String()
}

// vitals are the agent's own health.
func (s *Selfmon) vitals(f figures, entries []status.Entry) []page.Vital {
	return []page.Vital{s.events(f), s.lease(f), publishing(f), lag(f), probes(f), dropped(f), drained(f, entries)}
}

func (s *Selfmon) events(f figures) page.Vital {
	v := page.Vital{Name: "Docker events", Value: "flowing", Level: page.OK}
	if !s.flowing() {
		v.Value, v.Level = "not flowing", page.Bad
	}
	v.Note = fmt.Sprintf("%.0f heard", f.sum("eru_agent_docker_events_total", "", ""))
	if n := f.sum("eru_agent_docker_reconnects_total", "", ""); n > 0 {
		v.Note += fmt.Sprintf(", %.0f reconnects", n)
	}
	return v
}

func (s *Selfmon) lease(f figures) page.Vital {
	v := page.Vital{Name: "etcd session", Value: "held", Level: page.OK, Note: fmt.Sprintf("TTL %s", s.cfg.TTL)}
	switch {
	case !s.cfg.HoldSession:
		v.Value, v.Level, v.Note = "off", "", "selfmon.enabled is false"
	case !s.session.isUp():
		v.Value, v.Level = "not held", page.Bad
	}
	if n := f.sum("eru_agent_etcd_session_lost_total", "", ""); n > 0 {
		v.Note += fmt.Sprintf(", lost %.0f×", n)
	}
	return v
}

func publishing(f figures) page.Vital {
	v := page.Vital{Name: "Waiting for etcd", Level: page.OK}
	queue, failed := f.sum("eru_agent_publish_queue", "", ""), f.sum("eru_agent_publish_errors_total", "", "")
	v.Value = fmt.Sprintf("%.0f keys", queue)
	if queue == 1 {
		v.Value = "1 key"
	}
	if queue > 0 {
		v.Level = page.Warn
	}
	if slow, n := f.mostly("eru_agent_detect_to_publish_seconds"); n > 0 {
		v.Note = "99 % taken " + within(slow)
	}
	if failed > 0 {
		v.Note = strings.TrimPrefix(fmt.Sprintf("%s, %.0f calls failed", v.Note, failed), ", ")
	}
	return v
}

// lateAtMost is how late probes may start before the page minds.
const lateAtMost = 0.1

func lag(f figures) page.Vital {
	slow, n := f.mostly("eru_agent_scheduler_lag_seconds")
	v := page.Vital{Name: "Probes start late by", Value: "–", Note: "99 % since the start"}
	switch {
	case n == 0:
		v.Note = "none made yet"
	case slow > lateAtMost:
		v.Value, v.Level = within(slow), page.Warn
	default:
		v.Value, v.Level = within(slow), page.OK
	}
	return v
}

func probes(f figures) page.Vital {
	const name = "eru_agent_probes_total"
	all, passed := f.sum(name, "", ""), f.sum(name, "result", "pass")
	v := page.Vital{Name: "Probes", Value: fmt.Sprintf("%.0f", all), Note: fmt.Sprintf("%.0f failed", all-passed)}
	if slow, n := f.mostly("eru_agent_probe_duration_seconds"); n > 0 {
		v.Note += ", 99 % " + within(slow)
	}
	return v
}

func dropped(f figures) page.Vital {
	const name = "eru_agent_verdicts_dropped_total"
	v := page.Vital{Name: "Verdicts dropped", Value: fmt.Sprintf("%.0f", f.sum(name, "", "")), Level: page.OK}
	var why []string
	for _, w := range []string{"starved", "own_fault", "stale"} {
		if n := f.sum(name, "why", w); n > 0 {
			why = append(why, fmt.Sprintf("%.0f %s", n, w))
			if w != "stale" {
				v.Level = page.Warn
			}
		}
	}
	v.Note = cmp.Or(strings.Join(why, ", "), "since the start")
	return v
}

// reasonDrain is of what an operator has taken out (package agent).
const reasonDrain = "drain"

func drained(f figures, entries []status.Entry) page.Vital {
	n := 0
	for _, e := range entries {
		if e.Status.Reason == reasonDrain {
			n++
		}
	}
	v := page.Vital{Name: "Drained by operators", Value: fmt.Sprintf("%d of %d", n, len(entries))}
	if ignored := f.sum("eru_agent_drains_ignored_total", "", ""); ignored > 0 {
		v.Note, v.Level = fmt.Sprintf("%.0f drains ignored", ignored), page.Warn
	}
	return v
}
