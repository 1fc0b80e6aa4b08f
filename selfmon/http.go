package selfmon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap/exp/zapslog"

	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/selfmon/page"
)

// HTTP says how the agent's port behaves.
type HTTP struct {
	Addr      string // host:port that it was told to listen at; its host is a name of the port
	WebConfig string // file of the Prometheus web-config convention: TLS, basic auth; "" for neither
	Pprof     bool
}

// Serve answers on l until ctx ends, waits for the requests under way, and
// returns nil. It closes l. An error says that it cannot serve: the web config
// is not well, say.
func (s *Selfmon) Serve(ctx context.Context, l net.Listener) error {
	cfg := port.Config{Addr: s.cfg.HTTP.Addr, Names: []string{s.cfg.Node.Nodename}}
	if s.cfg.HTTP.WebConfig != "" {
		cfg.Serve = s.serveGuarded
	}
	return port.Serve(ctx, l, s.handler(ctx), cfg, s.cut, s.log)
}

// serveGuarded serves as the web config says.
func (s *Selfmon) serveGuarded(server *http.Server, l net.Listener) error {
	file := s.cfg.HTTP.WebConfig
	flags := &web.FlagConfig{WebListenAddresses: &[]string{l.Addr().String()}, WebConfigFile: &file}
	if err := web.Serve(l, server, flags, slog.New(quiet{zapslog.NewHandler(s.log.Core())})); err != nil {
		return fmt.Errorf("reading %q: %w", file, err)
	}
	return nil
}

// quiet leaves out the toolkit's notes that say nothing went wrong.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// handler answers; what is followed ends with ctx.
func (s *Selfmon) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.measured(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry})))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { port.Answer(w, s.Alive(r.Context()), "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { port.Answer(w, s.Ready(r.Context()), "ready") })
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("GET /explain", s.serveExplain)
	page.New(s.look).Register(ctx, mux)
	if s.cfg.HTTP.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// measured brings what has to be asked for to its metric before each scrape.
func (s *Selfmon) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready := 0.0
		if s.Ready(r.Context()) == nil {
			ready = 1
		}
		if r.Context().Err() != nil {
			return // which says nothing of the agent
		}
		s.ready.Set(ready)
		next.ServeHTTP(w, r)
	})
}
