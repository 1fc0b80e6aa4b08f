package selfmon

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReloaded(t *testing.T) {
	r := newRig(HTTP{})
	last := func() *Reload {
		t.Helper()
		var rep report
		_, body, _ := r.ask("GET", "/status")
		if err := json.Unmarshal([]byte(body), &rep); err != nil {
			t.Fatal(err)
		}
		if rep.Process.PID <= 0 || rep.Process.Namespace == "" {
			t.Errorf("the process is %+v", rep.Process)
		}
		return rep.Reloaded
	}
	if got := last(); got != nil {
		t.Errorf("before the first: %+v", got)
	}
	at := time.Unix(1e9, 0).UTC()
	r.Reloaded(Reload{At: at, Changed: []Change{{"log.level", "info", "debug"}}, Refused: []Change{}})
	if got := last(); got == nil || !got.At.Equal(at) || len(got.Changed) != 1 || got.Error != "" {
		t.Errorf("got %+v", got)
	}
	counts := func(applied, refused, well string) {
		t.Helper()
		err := testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP eru_agent_config_last_reload_success_timestamp_seconds When the configuration in force was read.
# TYPE eru_agent_config_last_reload_success_timestamp_seconds gauge
eru_agent_config_last_reload_success_timestamp_seconds 1e+09
# HELP eru_agent_config_last_reload_successful 1 unless the configuration that was read last is wrong, and an older one in force.
# TYPE eru_agent_config_last_reload_successful gauge
eru_agent_config_last_reload_successful `+well+`
# HELP eru_agent_reloads_total Times that the configuration was read again: applied, or refused as a whole.
# TYPE eru_agent_reloads_total counter
eru_agent_reloads_total{result="applied"} `+applied+`
eru_agent_reloads_total{result="refused"} `+refused+`
`), "eru_agent_reloads_total", "eru_agent_config_last_reload_successful", "eru_agent_config_last_reload_success_timestamp_seconds")
		if err != nil {
			t.Error(err)
		}
	}
	counts("1", "0", "1")
	r.Reloaded(Reload{At: at.Add(time.Hour), Error: "agent.yaml:1:1: no"})
	if got := last(); got == nil || got.Error != "agent.yaml:1:1: no" {
		t.Errorf("got %+v", got)
	}
	counts("1", "1", "0")
}
