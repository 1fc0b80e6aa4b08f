// Package port is the one HTTP port of a program that is there for something else.
// It owns what clients may do there: how many they are, how long they take, how they
// name it, and what they may ask. It leaves the answers to whoever serves.
package port

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// Config says how the port behaves.
type Config struct {
	Addr  string                                 // host:port that it was told to listen at; its host is a name of the port
	Names []string                               // more names of the port; addresses, localhost and the machine's own always are
	Serve func(*http.Server, net.Listener) error // puts more in front, such as TLS; http.Server's own if nil
}

// askWithin bounds what a client takes to send its request, answerWithin all of it,
// shutdownWithin those under way when the program stops. A handler may set other
// deadlines for one answer.
const (
	askWithin      = 5 * time.Second
	answerWithin   = 10 * time.Second
	shutdownWithin = time.Second
	maxHead        = 16 << 10 // of a request, in bytes
)

// NewCut returns what Serve counts the connections in that it closes. The metric's
// name begins with prefix.
func NewCut(prefix string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: prefix + "http_connections_cut_total", Help: "Connections to the HTTP port that were closed because others needed their place, or because the answer was not taken in time.",
	})
}

// Serve has handler answer on l until ctx ends, waits a second for the requests
// under way, and returns nil. It closes l. An error says that it cannot serve. The
// handler is asked by GET and HEAD only, without a body; at a loopback address, only
// by a name of the port. There are 256 connections at most; whoever gets least done
// makes room for the next one.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, cfg Config, cut prometheus.Counter, log *zap.Logger) error {
	l = newCrowd(l, cut, log)
	defer func() { _ = l.Close() }()
	server := &http.Server{
		Handler: attend(named(l.Addr(), cfg.names(), limited(handler))), ConnContext: introduce, ConnState: dismiss, MaxHeaderBytes: maxHead,
		ReadHeaderTimeout: askWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin, IdleTimeout: time.Minute,
		DisableGeneralOptionsHandler: true, // which answers "OPTIONS *" by itself
		ErrorLog:                     slog.NewLogLogger(zapslog.NewHandler(log.Core()), slog.LevelDebug),
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
	serve := cfg.Serve
	if serve == nil {
		serve = (*http.Server).Serve
	}
	err := serve(server, l)
	if !stop() {
		<-ended
		return nil
	}
	return fmt.Errorf("serving HTTP on %q: %w", l.Addr(), err)
}

// names are those that are not the same everywhere.
func (c Config) names() []string {
	machine, _ := os.Hostname() // else it goes without that name
	told, _, _ := net.SplitHostPort(c.Addr)
	return append([]string{told, machine}, c.Names...)
}
