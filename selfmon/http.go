package selfmon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap/exp/zapslog"

	"github.com/projecteru2/eru-agent/selfmon/page"
)

// HTTP says how the agent's port behaves.
type HTTP struct {
	Addr      string // host:port that it was told to listen at; its host is a name of the port
	WebConfig string // file of the Prometheus web-config convention: TLS, basic auth; "" for neither
	Pprof     bool
}

// askWithin bounds what a client takes to send its request, answerWithin all of it,
// shutdownWithin those under way when the agent stops. A profile, and who follows
// the page, take their own time.
const (
	askWithin      = 5 * time.Second
	answerWithin   = 10 * time.Second
	shutdownWithin = time.Second
	maxHead        = 16 << 10 // of a request, in bytes
)

// Serve answers on l until ctx ends, waits for the requests under way, and
// returns nil. It closes l. An error says that it cannot serve: the web config
// is not well, say.
func (s *Selfmon) Serve(ctx context.Context, l net.Listener) error {
	l = newCrowd(l, s.cut, s.log)
	defer func() { _ = l.Close() }()
	machine, _ := os.Hostname() // else it goes without that name
	told, _, _ := net.SplitHostPort(s.cfg.HTTP.Addr)
	server := &http.Server{
		Handler: attend(named(l.Addr(), []string{told, machine, s.cfg.Node.Nodename}, s.handler(ctx))), ConnContext: introduce, ConnState: dismiss, MaxHeaderBytes: maxHead,
		ReadHeaderTimeout: askWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin, IdleTimeout: time.Minute,
		DisableGeneralOptionsHandler: true, // which answers "OPTIONS *" by itself
		ErrorLog:                     slog.NewLogLogger(zapslog.NewHandler(s.log.Core()), slog.LevelDebug),
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

// handler answers; what is followed ends with ctx.
func (s *Selfmon) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.measured(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry})))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, s.Alive(r.Context()), "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, s.Ready(r.Context()), "ready") })
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("GET /explain", s.serveExplain)
	page.New(s.look).Register(ctx, mux)
	if s.cfg.HTTP.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return limited(mux)
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

// limited answers GET and HEAD without a body and nothing else, and tells browsers
// to make no more of an answer than it is.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			h.Set("Connection", "close") // with whatever else it sends
			http.Error(w, "this port answers GET and HEAD only", http.StatusMethodNotAllowed)
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			http.Error(w, "this port takes no body", http.StatusRequestEntityTooLarge)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
