package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// server is all ports, the control server and what they share.
type server struct {
	out     *journal
	host    string
	gate    *gate
	exit    chan int
	ports   []*port
	control net.Listener
	grpc    *http.Server
}

func newServer(cfg config, out *journal) *server {
	s := &server{out: out, host: cfg.host, gate: newGate(), exit: make(chan int, 1)}
	for _, name := range cfg.ports {
		s.ports = append(s.ports, newPort(strings.TrimSpace(name), cfg, s.gate, s.exit))
	}
	return s
}

// listen begins to serve all ports.
func (s *server) listen(first mode) error {
	for _, p := range s.ports {
		if err := p.start(); err != nil {
			return err
		}
		s.out.log("port %s %v", p.name, p.behaviour())
	}
	if first.ofProcess() {
		s.change("", first)
	}
	return nil
}

func (s *server) close() {
	s.gate.thaw()
	if s.control != nil {
		_ = s.control.Close()
	}
	if s.grpc != nil {
		_ = s.grpc.Close()
	}
	for _, p := range s.ports {
		p.close()
	}
}

// serveControl serves the control port, which stops answering too while the gate is shut.
func (s *server) serveControl(number string) error {
	if number == "off" {
		return nil
	}
	l, err := net.Listen("tcp", ":"+number)
	if err != nil {
		return fmt.Errorf("listening for control: %w", err)
	}
	s.control = l
	mux := http.NewServeMux()
	mux.HandleFunc("GET /behave", s.serveBehave)
	mux.HandleFunc("GET /count", s.serveNumber((*port).accepted))
	mux.HandleFunc("GET /open", s.serveNumber((*port).opened))
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.gate.wait()
			mux.ServeHTTP(w, r)
		})) // Ends with the listener.
	}()
	return nil
}

func (s *server) serveBehave(w http.ResponseWriter, r *http.Request) {
	m, err := parseMode(r.FormValue("mode"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if m.ofProcess() { // Else the answer is the proof that the change was made.
		_, _ = fmt.Fprintln(w, m)
		_ = http.NewResponseController(w).Flush()
	}
	if !s.change(r.FormValue("port"), m) {
		http.Error(w, "port "+r.FormValue("port")+" could not be changed", http.StatusConflict)
		return
	}
	if !m.ofProcess() {
		_, _ = fmt.Fprintln(w, m)
	}
}

// change makes one port, or all if name is "", behave as m. It reports whether that could be done.
func (s *server) change(name string, m mode) bool {
	switch m.name {
	case "exit":
		s.exit <- m.code
		return true
	case "eat":
		s.out.log("eat")
		go eat()
		return true
	case "hang":
		s.out.log("hang")
		s.gate.shut(m.duration)
		for _, p := range s.ports {
			p.interrupt()
		}
		return true
	}
	done := false
	for _, p := range s.ports {
		if name != "" && name != p.name || p.behaviour() == m {
			done = done || name == "" || name == p.name
			continue
		}
		if err := p.behave(m); err != nil {
			s.out.log("error %v", err)
			return false
		}
		done = true
		s.out.log("port %s %v", p.name, m)
	}
	return done
}

// eat takes memory, page by page, and keeps it.
func eat() {
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = byte(len(kept))
		}
		kept = append(kept, b)
	}
}

func (s *server) serveNumber(number func(*port) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sum := 0
		for _, p := range s.ports {
			if name := r.FormValue("port"); name == "" || name == p.name {
				sum += number(p)
			}
		}
		_, _ = fmt.Fprintln(w, sum)
	}
}
