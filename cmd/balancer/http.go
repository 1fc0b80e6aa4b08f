package balancer

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/projecteru2/eru-agent/port"
)

// aliveWithin bounds the loop's answer.
const aliveWithin = 5 * time.Second

// serve answers on the port until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	return port.Serve(ctx, d.listener, d.handler(), port.Config{Addr: d.cfg.metrics.addr}, d.cut, d.log.Named("http"))
}

func (d *daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{Registry: d.registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
		defer cancel()
		port.Answer(w, d.loop.Alive(ctx), "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { port.Answer(w, d.loop.Ready(), "ready") })
	return mux
}
