// Command web is the server inside the containers of the end-to-end tests, the demo and the benchmark: it answers on
// every port of PORTS as a healthy service or misbehaves in one of many ways, which can be changed while it runs. It uses
// the standard library only and runs alone in an image FROM scratch.
//
// Environment:
//
//	PORTS        ports to serve, "80" if empty: "80,443"
//	BIND         address that PORTS are listened on, every one if empty
//	CONTROL      port of the control server, "8081" if empty, "off" for none
//	MODE         behaviour at the start, "ok" if empty
//	TLS          1 serves PORTS over TLS with a self-signed certificate
//	START_DELAY  how long to wait before PORTS are listened on
//	TERM         what SIGTERM does: exit at once with 0, or "finish" (close the listeners, let end what is under way, exit),
//	             or "linger:DURATION" (serve on, then exit), or "ignore"
//	GRPC         port that answers every gRPC call with an empty message, none if empty
//
// The header Served-By of an answer is the host's name, which in a container is the beginning of its ID.
//
// Control server: GET /behave?mode=M (and &port=P for one port only), GET /count (connections accepted so far), GET /open
// (connections open now), both also with ?port=P. SIGCONT ends the mode "hang". The modes are in mode.go.
//
// Every change is one line on standard output, which begins with CLOCK_MONOTONIC in nanoseconds.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rogue"
)

func main() {
	out := &journal{out: os.Stdout}
	code, err := run(os.Getenv, out)
	if err != nil {
		out.log("error %v", err)
	}
	os.Exit(code)
}

// config is the environment, parsed.
type config struct {
	bind    string
	ports   []string
	control string
	mode    mode
	tls     *tls.Config
	delay   time.Duration
	grpc    string
	host    string
	ignore  bool
	finish  bool
	linger  time.Duration
}

// run serves until a signal or a mode ends it and returns the exit code.
func run(getenv func(string) string, out *journal) (int, error) {
	cfg, err := parseConfig(getenv)
	if err != nil {
		return 2, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCONT)
	s := newServer(cfg, out)
	defer s.close()
	if err := errors.Join(s.serveControl(cfg.control), s.serveGRPC(cfg.grpc)); err != nil {
		return 1, err
	}
	started := time.After(cfg.delay)
	var lingered <-chan time.Time
	var finished <-chan struct{}
	for {
		select {
		case <-started:
			if err := s.listen(cfg.mode); err != nil {
				return 1, err
			}
		case code := <-s.exit:
			out.log("exit %d", code)
			return code, nil
		case <-lingered:
			out.log("exit 0")
			return 0, nil
		case <-finished:
			out.log("exit 0")
			return 0, nil
		case sig := <-signals:
			out.log("signal %v", sig)
			switch {
			case sig == syscall.SIGCONT:
				s.gate.thaw()
			case cfg.ignore, finished != nil:
			case cfg.finish:
				finished = s.finish()
			case cfg.linger == 0:
				return 0, nil
			case lingered == nil:
				lingered = time.After(cfg.linger)
			}
		}
	}
}

func parseConfig(getenv func(string) string) (config, error) {
	cfg := config{ports: strings.Split(or(getenv("PORTS"), "80"), ","), control: or(getenv("CONTROL"), "8081"), grpc: getenv("GRPC"), bind: getenv("BIND")}
	var err error
	if cfg.host, err = os.Hostname(); err != nil {
		return cfg, err
	}
	if cfg.mode, err = parseMode(or(getenv("MODE"), "ok")); err != nil {
		return cfg, err
	}
	if delay := getenv("START_DELAY"); delay != "" {
		if cfg.delay, err = time.ParseDuration(delay); err != nil {
			return cfg, fmt.Errorf("parsing START_DELAY: %w", err)
		}
	}
	// Any other TERM is a terminal's.
	cfg.ignore, cfg.finish = getenv("TERM") == "ignore", getenv("TERM") == "finish"
	if linger, ok := strings.CutPrefix(getenv("TERM"), "linger:"); ok {
		if cfg.linger, err = time.ParseDuration(linger); err != nil {
			return cfg, fmt.Errorf("parsing TERM: %w", err)
		}
	}
	if getenv("TLS") == "1" {
		cfg.tls, err = rogue.SelfSigned()
	}
	return cfg, err
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
