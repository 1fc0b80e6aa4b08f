package rig

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Socket is a way to Docker that takes GET and HEAD alone. It can be closed and opened again.
type Socket struct {
	t      testing.TB
	path   string
	docker string

	mu     sync.Mutex
	server *http.Server
	passed []string
	denied []string
}

// Socket makes one for the engine of the tests; it is closed until Open.
func (r *Rig) Socket(t testing.TB) *Socket {
	t.Helper()
	docker, ok := strings.CutPrefix(r.docker, "unix://")
	if !ok {
		t.Fatalf("this test needs Docker at a unix socket, not at %s", r.docker)
	}
	s := &Socket{t: t, path: filepath.Join(t.TempDir(), "docker.sock"), docker: docker}
	t.Cleanup(s.Close)
	return s
}

// Endpoint is the address for an agent.
func (s *Socket) Endpoint() string { return "unix://" + s.path }

// Open begins to listen.
func (s *Socket) Open() {
	s.t.Helper()
	l, err := net.Listen("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.FlushInterval = -1 // events come when they come
	proxy.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.docker)
	}}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.pass(r) {
			http.Error(w, "GET and HEAD alone", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("serving %s: %v", s.path, err)
		}
	}()
}

// Close ends all connections and removes the socket.
func (s *Socket) Close() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

func (s *Socket) pass(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := r.Method + " " + r.URL.Path
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.passed = append(s.passed, line)
		return true
	}
	s.denied = append(s.denied, line)
	return false
}

// Passed are the requests that went through.
func (s *Socket) Passed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.passed)
}

// Denied are the requests with another method than GET or HEAD.
func (s *Socket) Denied() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.denied)
}

// FreeAddress is one on loopback that was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// FreePort is the port of a FreeAddress.
func FreePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(FreeAddress(t)) // it is made by net
	return port
}
