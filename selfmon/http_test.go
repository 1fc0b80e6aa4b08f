package selfmon

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

// ask calls the handler and returns what a client would see.
func (r *rig) ask(method, path string) (int, string, http.Header) {
	w := httptest.NewRecorder()
	r.handler(context.Background()).ServeHTTP(w, httptest.NewRequest(method, path, nil))
	body, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(body), w.Header()
}

func TestAliveAndReadyOverHTTP(t *testing.T) {
	for name, tt := range map[string]struct {
		path   string
		change func(r *rig)
		code   int
		body   string
	}{
		"alive":     {"/healthz", func(*rig) {}, 200, "alive\n"},
		"ready":     {"/readyz", func(*rig) {}, 200, "ready\n"},
		"hangs":     {"/healthz", func(r *rig) { r.agent.hangs = true }, 503, "not alive: asking the agent's loop: no answer within 2s: context deadline exceeded\n"},
		"unready":   {"/readyz", func(r *rig) { r.flowing = false; r.session.set(0) }, 503, "not ready: Docker: its events do not flow; etcd: no session is held\n"},
		"unready 2": {"/readyz", func(r *rig) { r.agent.hangs = true }, 503, "not ready: agent: its loop does not answer\n"},
		"status":    {"/status", func(r *rig) { r.agent.hangs = true }, 503, "not answering: context deadline exceeded\n"},
		"page":      {"/", func(r *rig) { r.agent.hangs = true }, 503, "not answering: context deadline exceeded\n"},
		"elsewhere": {"/nowhere", func(*rig) {}, 404, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inSession(HTTP{})
				tt.change(r)
				start := time.Now()
				code, body, _ := r.ask("GET", tt.path)
				if code != tt.code || body != tt.body {
					t.Errorf("got %d %q\nwant %d %q", code, body, tt.code, tt.body)
				}
				if took := time.Since(start); took > aliveWithin {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestHeadIsAnswered(t *testing.T) {
	r := inSession(HTTP{Pprof: true})
	for _, path := range []string{"/", "/events", "/page/style.css", "/status", "/metrics", "/healthz", "/readyz", "/debug/pprof/"} {
		if code, _, _ := r.ask("HEAD", path); code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, code)
		}
	}
}

func TestAnswersSayWhatTheyAre(t *testing.T) {
	r := inSession(HTTP{})
	for _, path := range []string{"/", "/status", "/metrics", "/healthz", "/page/script.js", "/nowhere"} {
		if _, _, header := r.ask("GET", path); header.Get("Content-Type") == "" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestPprofOnlyWhenAskedFor(t *testing.T) {
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1"} {
		if code, _, _ := newRig(HTTP{}).ask("GET", path); code != http.StatusNotFound {
			t.Errorf("%s unasked: %d", path, code)
		}
		if code, _, _ := newRig(HTTP{Pprof: true}).ask("GET", path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _, _ := newRig(HTTP{Pprof: true}).ask("GET", "/debug/pprof/cmdline"); code != http.StatusNotFound {
		t.Errorf("the command line is shown: %d", code)
	}
}

func TestMetricsAreThoseOfTheRegistry(t *testing.T) {
	r := inSession(HTTP{})
	gone := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "test_containers", Help: "x"}, []string{"app"})
	r.reg.MustRegister(gone)
	gone.WithLabelValues("shop").Inc()
	gone.WithLabelValues("left").Inc()
	gone.DeleteLabelValues("left")
	code, body, _ := r.ask("GET", "/metrics")
	if code != 200 || !strings.Contains(body, `test_containers{app="shop"} 1`) || strings.Contains(body, "left") ||
		!strings.Contains(body, "eru_agent_etcd_session_up 1") {
		t.Errorf("%d\n%s", code, body)
	}
}

func TestReadyIsMeasured(t *testing.T) {
	r := inSession(HTTP{})
	for _, tt := range []struct {
		flowing bool
		want    string
	}{{true, "eru_agent_ready 1\n"}, {false, "eru_agent_ready 0\n"}, {true, "eru_agent_ready 1\n"}} {
		r.flowing = tt.flowing
		if _, body, _ := r.ask("GET", "/metrics"); !strings.Contains(body, tt.want) {
			t.Errorf("want %q in\n%s", tt.want, body)
		}
	}
}

// hostile is what a container may be called, and say.
const hostile = `"><script>alert(1)</script>`

func entries() []status.Entry {
	at := time.Now().Add(-90 * time.Second)
	one := func(app, name string, s status.Status) status.Entry {
		s.Name, s.Since = name, at
		return status.Entry{Key: status.Key{App: app, Entrypoint: "web", Node: "n1", ID: s.ID}, Status: s}
	}
	return []status.Entry{
		one("shop", "b", status.Status{ID: "ffffffffffffffffffff", State: status.StateUnhealthy, Running: true, Reason: "http_code", Detail: hostile}),
		one("shop", hostile, status.Status{ID: "c1", State: status.State(hostile), Endpoints: map[string]string{hostile: hostile}}),
		one("api", "a", status.Status{ID: "c2", State: status.StateHealthy, Running: true, Healthy: true, Endpoints: map[string]string{"80": "10.0.0.5:80"}}),
	}
}

func TestStatusJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		r.agent.containers = entries()
		code, body, header := r.ask("GET", "/status")
		var got struct {
			Node struct {
				Nodename string
				Agent    struct{ State, Version string }
			}
			Ready      bool
			NotReady   string `json:"not_ready"`
			Containers []struct {
				App, Entrypoint string
				Status          struct {
					ID, Name, State, Reason string
					Running, Healthy        bool
					Endpoints               map[string]string
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %v\n%s", code, err, body)
		}
		if got.Node.Nodename != "n1" || got.Node.Agent.State != "running" || got.Node.Agent.Version != "v1" || !got.Ready || len(got.Containers) != 3 {
			t.Errorf("%s", body)
		}
		if first := got.Containers[0]; first.App != "api" || first.Entrypoint != "web" || !first.Status.Healthy || first.Status.Endpoints["80"] != "10.0.0.5:80" {
			t.Errorf("%+v", first)
		}
		r.flowing = false
		r.agent.containers = nil
		_, body, _ = r.ask("GET", "/status")
		if !strings.Contains(body, `"containers": []`) || !strings.Contains(body, `"not_ready": "Docker: its events do not flow"`) || !strings.Contains(body, `"ready": false`) {
			t.Errorf("%s", body)
		}
	})
}

func TestPageEscapesWhatContainersSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		r.agent.containers = entries()
		code, body, header := r.ask("GET", "/")
		if code != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%d %v", code, header)
		}
		for _, want := range []string{"10.0.0.5:80", "ffffffffffff<", "http_code", "1m 30s", "<b>1</b> unhealthy", "<b>ready</b>"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		if strings.Contains(body, hostile) || strings.Contains(body, "alert(1)<") || strings.Count(body, "<script") != 1 {
			t.Errorf("markup of a container is on the page:\n%s", body)
		}
		r.agent.containers, r.flowing = nil, false
		_, body, _ = r.ask("GET", "/")
		for _, want := range []string{"No container of this node", "<b>not ready</b>", "Docker: its events do not flow", "no containers", "not flowing"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
	})
}

func TestPageOfANodeThatIsStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		if err := r.SayStopping(t.Context()); err != nil {
			t.Error(err)
		}
		if _, body, _ := r.ask("GET", "/status"); !strings.Contains(body, `"state": "stopping"`) {
			t.Errorf("%s", body)
		}
	})
}
