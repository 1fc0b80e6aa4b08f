package contrib

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const (
	rulesFile = "prometheus/eru.rules.yml"
	casesFile = "prometheus/eru.rules.test.yml"
)

// alarm is a rule as its file has it.
type alarm struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type rules struct {
	Groups []struct {
		Name  string  `yaml:"name"`
		Rules []alarm `yaml:"rules"`
	} `yaml:"groups"`
}

// cases are promtool's unit tests.
type cases struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			AlertName string           `yaml:"alertname"`
			EvalTime  string           `yaml:"eval_time"`
			ExpAlerts []map[string]any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// read decodes a file that has nothing but what is known here.
func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField()).Decode(into); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
}

func alarms(t *testing.T) []alarm {
	t.Helper()
	var all rules
	read(t, rulesFile, &all)
	var list []alarm
	for _, g := range all.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// TestPromtool has Prometheus's own tool check the files and play the cases.
func TestPromtool(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", casesFile}, {"check", "config", "prometheus/prometheus.yml.example"}} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
				t.Errorf("%v (make test sets promtool up): %s", err, out)
			}
		})
	}
}

// TestCasesHoldTheAlarms plays them against alarms that are raised too early, or whatever the number is: each must be noticed.
func TestCasesHoldTheAlarms(t *testing.T) {
	for name, m := range map[string]struct {
		what *regexp.Regexp
		with string
		of   func(alarm) bool
	}{
		"at once":    {regexp.MustCompile(`\n +for: \w+`), "", func(a alarm) bool { return a.For != "" }},
		"any number": {regexp.MustCompile(`(> [0-9.]+|== [01])`), ">= 0", func(a alarm) bool { return !strings.HasPrefix(a.Expr, "absent(") }},
	} {
		t.Run(name, func(t *testing.T) {
			said := play(t, m.what, m.with)
			for _, a := range alarms(t) {
				if m.of(a) && !strings.Contains(said, "alertname: "+a.Alert+",") {
					t.Errorf("no case of %s notices", a.Alert)
				}
			}
		})
	}
}

// play has promtool play the cases against changed alarms, and returns what it says.
func play(t *testing.T, what *regexp.Regexp, with string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{rulesFile, casesFile} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if from == rulesFile {
			text = what.ReplaceAll(text, []byte(with))
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", filepath.Join(dir, filepath.Base(casesFile))).CombinedOutput()
	if err == nil {
		t.Errorf("all cases pass: %s", out)
	}
	return string(out)
}

// TestEachAlarmHasBothCases: one in which it is raised, and one in which it nearly is. Promtool takes a name that no rule has for
// one that is not raised.
func TestEachAlarmHasBothCases(t *testing.T) {
	raised, silent := map[string]int{}, map[string]int{}
	var all cases
	read(t, casesFile, &all)
	for _, group := range all.Tests {
		if len(group.InputSeries) == 0 {
			t.Errorf("%s: without series nothing can be raised", group.Name)
		}
		for _, one := range group.AlertRuleTest {
			if len(one.ExpAlerts) > 0 {
				raised[one.AlertName]++
			} else {
				silent[one.AlertName]++
			}
		}
	}
	for _, a := range alarms(t) {
		if raised[a.Alert] == 0 || silent[a.Alert] == 0 {
			t.Errorf("%s has %d cases in which it is raised and %d in which it is not", a.Alert, raised[a.Alert], silent[a.Alert])
		}
		delete(raised, a.Alert)
		delete(silent, a.Alert)
	}
	for name := range raised {
		t.Errorf("there is no alarm %s", name)
	}
	for name := range silent {
		t.Errorf("there is no alarm %s", name)
	}
}

// TestAlarmsSayWhatToDo: each has a severity, a line, what to do, and a section of a page that exists; each name is there once.
func TestAlarmsSayWhatToDo(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range alarms(t) {
		if seen[a.Alert] {
			t.Errorf("there are two alarms %s", a.Alert)
		}
		seen[a.Alert] = true
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has severity %q", a.Alert, severity)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is and what to do", a.Alert)
		}
		page, section, _ := strings.Cut(a.Annotations["runbook"], "#")
		text, err := os.ReadFile("../" + page)
		if err != nil {
			t.Errorf("%s: %v", a.Alert, err)
		}
		if !slices.Contains(sections(string(text)), section) {
			t.Errorf("%s: %s has no section %q", a.Alert, page, section)
		}
	}
}

// sections are the anchors of a page's headings.
func sections(text string) []string {
	var all []string
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title := strings.TrimLeft(line, "#"); !fenced && title != line {
			all = append(all, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
					return r
				}
				return -1
			}, strings.ToLower(strings.TrimSpace(title))))
		}
	}
	return all
}
