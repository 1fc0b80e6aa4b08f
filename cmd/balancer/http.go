package balancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap/exp/zapslog"
)

// answerWithin bounds one request, shutdownWithin those under way at the end,
// aliveWithin the loop's answer.
const (
	answerWithin   = 10 * time.Second
	shutdownWithin = time.Second
	aliveWithin    = 5 * time.Second
)

// serve answers on the port until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	server := &http.Server{
		Handler: d.handler(), ReadTimeout: answerWithin, WriteTimeout: answerWithin, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(zapslog.NewHandler(d.log.Core()), slog.LevelDebug),
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
	err := server.Serve(d.listener)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving HTTP on %q: %w", d.listener.Addr(), err)
}

func (d *daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{Registry: d.registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
		defer cancel()
		answer(w, d.loop.Alive(ctx), "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.loop.Ready(), "ready") })
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
