package contrib

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// TestAgainstPrometheus has a real Prometheus scrape the real programs, asks it everything that alarms and dashboard ask, and
// holds docs/operating.md against what is exported.
func TestAgainstPrometheus(t *testing.T) {
	w := newWorld(t)
	p := prometheus{t, w.startPrometheus()}
	t.Run("documented", w.documented)
	names, err := w.exported()
	if err != nil {
		t.Fatal(err)
	}
	board := readDashboard(t)
	t.Run("names", func(t *testing.T) {
		for _, expr := range append(board.queries(), queriesOf(alarms(t))...) {
			for _, name := range metric.FindAllString(expr, -1) {
				if !names[name] && !names[strings.TrimSuffix(name, "_bucket")] {
					t.Errorf("nobody exports %s: %s", name, expr)
				}
			}
		}
	})
	for _, expr := range board.queries() {
		rig.Await(t, "numbers for "+expr, func() error {
			err := p.hasNumbers(expr)
			if err != nil {
				w.flap()
			}
			return err
		})
	}
	t.Run("variables", func(t *testing.T) { p.knows(t, board) })
	t.Run("alarms", p.judges)
}

var metric = regexp.MustCompile(`\beru_(?:agent|lb)_[a-z_]+[a-z]`)

// documented: each metric that is exported stands in docs/operating.md, and each that stands there is exported.
func (w *world) documented(t *testing.T) {
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range metric.FindAllString(string(text), -1) {
		known[name] = true
	}
	rig.Await(t, "what is exported to be what docs/operating.md has", func() error {
		exported, err := w.exported()
		if err == nil && !maps.Equal(exported, known) {
			err = fmt.Errorf("only exported: %v, only documented: %v", without(exported, known), without(known, exported))
		}
		return err
	})
}

// without are the names that others do not have.
func without(names, others map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return others[name] })
}

// queries are those of all panels, as Grafana sends them if everything is chosen.
func (d dashboard) queries() []string {
	var all []string
	everything := strings.NewReplacer("$__rate_interval", "30s", "$node", ".*", "$app", ".*")
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, everything.Replace(q.Expr))
		}
	}
	return all
}

func queriesOf(alarms []alarm) []string {
	var all []string
	for _, a := range alarms {
		all = append(all, a.Expr)
	}
	return all
}

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// ask decodes the data of an answer of its API.
func (p prometheus) ask(path string, data any) error {
	text, err := get(p.t, p.url+path)
	if err != nil {
		return err
	}
	answer := struct {
		Status   string   `json:"status"`
		Error    string   `json:"error"`
		Warnings []string `json:"warnings"`
		Data     any      `json:"data"`
	}{Data: data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return fmt.Errorf("reading %q: %w", text, err)
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("%s: %s %q", answer.Status, answer.Error, answer.Warnings)
	}
	return nil
}

// hasNumbers is nil if a query is answered with a number, and not only with the quantile of nothing.
func (p prometheus) hasNumbers(expr string) error {
	values, err := p.query(expr)
	if err == nil && !slices.ContainsFunc(values, func(v string) bool { return v != "NaN" }) {
		err = fmt.Errorf("the answer is %v", values)
	}
	return err
}

func (p prometheus) query(expr string) ([]string, error) {
	var data struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	err := p.ask("/api/v1/query?query="+url.QueryEscape(expr), &data)
	var values []string
	for _, one := range data.Result {
		values = append(values, fmt.Sprint(one.Value[1]))
	}
	return values, err
}

// knows holds that there is something to choose: label_values(METRIC, LABEL) is Grafana's way to ask for a label.
func (p prometheus) knows(t *testing.T, board dashboard) {
	asked := 0
	for _, v := range board.Templating.List {
		m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if m == nil {
			continue
		}
		asked++
		var values []string
		if err := p.ask("/api/v1/label/"+m[2]+"/values?match[]="+m[1], &values); err != nil || len(values) == 0 {
			t.Errorf("%s: %v, %v", v.Definition, values, err)
		}
	}
	if asked != 2 {
		t.Errorf("%d of the variables are label_values", asked)
	}
}

// judges holds that it evaluates each alarm without error, raises those that are due, be it after a while, and none that says
// that a program is not well.
func (p prometheus) judges(t *testing.T) {
	var due, wrong = []string{"EruLbNotApplied", "EruLbServiceEmpty", "EruLbUnreadable", "EruLbXDSRefused"},
		[]string{"EruAgentDown", "EruAgentsAbsent", "EruAgentNotInEtcd", "EruAgentNotReady", "EruAgentPublishStuck", "EruAgentCanaryMissed", "EruContainersInvalid", "EruNobodyElected", "EruMonitorGuard", "EruLbDown", "EruLbProxyLost", "EruLbWithoutEtcd", "EruLbPanic"}
	for _, a := range alarms(t) {
		if _, err := p.query(a.Expr); err != nil {
			t.Errorf("%s: %v", a.Alert, err)
		}
		rig.Await(t, "Prometheus to judge "+a.Alert, func() error {
			state, err := p.state(a.Alert)
			switch active := state != "inactive"; {
			case err != nil:
				return err
			case slices.Contains(due, a.Alert) && !active, slices.Contains(wrong, a.Alert) && active:
				return fmt.Errorf("it is %s", state)
			}
			return nil
		})
	}
}

// state of an alarm: inactive, pending or firing.
func (p prometheus) state(alert string) (string, error) {
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, State, Health, LastError string
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := p.ask("/api/v1/rules", &data); err != nil {
		return "", err
	}
	for _, g := range data.Groups {
		for _, one := range g.Rules {
			if one.Name == alert {
				if one.Health != "ok" {
					return "", fmt.Errorf("its health is %q: %s", one.Health, one.LastError)
				}
				return one.State, nil
			}
		}
	}
	return "", fmt.Errorf("there is no alarm %s", alert)
}
