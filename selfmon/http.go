package selfmon

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap/exp/zapslog"

	"github.com/projecteru2/eru-agent/status"
)

// HTTP says how the agent's port behaves.
type HTTP struct {
	WebConfig string // file of the Prometheus web-config convention: TLS, basic auth; "" for neither
	Pprof     bool
}

// answerWithin bounds one request, shutdownWithin those under way when the agent
// stops. A profile takes its own time.
const (
	answerWithin   = 10 * time.Second
	shutdownWithin = time.Second
)

// Serve answers on l until ctx ends, waits for the requests under way, and
// returns nil. It closes l. An error says that it cannot serve: the web config
// is not well, say.
func (s *Selfmon) Serve(ctx context.Context, l net.Listener) error {
	defer func() { _ = l.Close() }()
	server := &http.Server{
		Handler: s.handler(), ReadTimeout: answerWithin, WriteTimeout: answerWithin, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(zapslog.NewHandler(s.log.Core()), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
		defer cancel()
		if server.Shutdown(bounded) != nil {
			_ = server.Close()
		}
	})
	flags := &web.FlagConfig{WebListenAddresses: &[]string{l.Addr().String()}, WebConfigFile: &s.cfg.HTTP.WebConfig}
	err := web.Serve(l, server, flags, slog.New(quiet{zapslog.NewHandler(s.log.Core())}))
	if !stop() {
		<-ended
		return nil
	}
	if s.cfg.HTTP.WebConfig != "" {
		err = fmt.Errorf("reading %q: %w", s.cfg.HTTP.WebConfig, err)
	}
	return fmt.Errorf("serving HTTP on %q: %w", l.Addr(), err)
}

// quiet leaves out the toolkit's notes that say nothing went wrong.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (s *Selfmon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, s.Alive(r.Context()), "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, s.Ready(r.Context()), "ready") })
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("GET /explain", s.serveExplain)
	mux.Handle("GET /{$}", s.page())
	if s.cfg.HTTP.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer writes one line: 200 and well, or 503 and why not.
func answer(w http.ResponseWriter, err error, well string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, "not %s: %s\n", well, err)
		return
	}
	_, _ = fmt.Fprintln(w, well)
}

// report is what /status and the page show.
type report struct {
	Node       status.Node `json:"node"`
	Ready      bool        `json:"ready"`
	NotReady   string      `json:"not_ready,omitempty"`
	Process    Process     `json:"process"`
	Reloaded   *Reload     `json:"reloaded,omitempty"` // the last one, if any
	Containers []container `json:"containers"`
}

type container struct {
	App        string        `json:"app"`
	Entrypoint string        `json:"entrypoint"`
	Status     status.Status `json:"status"`
}

func (s *Selfmon) report(ctx context.Context) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	entries, err := s.agent.Containers(ctx)
	if err != nil {
		return report{}, err
	}
	rep := report{Node: s.record(), Ready: true, Process: s.process(), Reloaded: s.reloads.last.Load(), Containers: []container{}}
	if err := s.Ready(ctx); err != nil {
		rep.Ready, rep.NotReady = false, err.Error()
	}
	for _, e := range entries {
		rep.Containers = append(rep.Containers, container{App: e.Key.App, Entrypoint: e.Key.Entrypoint, Status: e.Status})
	}
	slices.SortFunc(rep.Containers, func(a, b container) int {
		return strings.Compare(a.App+"/"+a.Entrypoint+"/"+a.Status.Name, b.App+"/"+b.Entrypoint+"/"+b.Status.Name)
	})
	return rep, nil
}

func (s *Selfmon) serveStatus(w http.ResponseWriter, r *http.Request) {
	rep, err := s.report(r.Context())
	if err != nil {
		answer(w, err, "answering")
		return
	}
	writeJSON(w, rep)
}

//go:embed page.html
var pageSource string

// page shows people what /status shows programs.
func (s *Selfmon) page() http.Handler {
	page := template.Must(template.New("page").Funcs(template.FuncMap{
		"short": func(id string) string { return id[:min(len(id), 12)] },
		"ago":   func(t time.Time) string { return time.Since(t).Truncate(time.Second).String() },
	}).Parse(pageSource))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rep, err := s.report(r.Context())
		if err != nil {
			answer(w, err, "answering")
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_ = page.Execute(w, rep) // the client has gone
	})
}
