// Package dockertest is a fake Docker Engine for tests: it owns a model of containers that a test drives (run, stop,
// die, pause, ...), the part of the Engine's HTTP API that reads such a model (events, list, inspect), and faults that a
// real engine does not produce on demand.
//
// Shapes and the order of events are those of Docker Engine 20.10, recorded in testdata; what the official client reads
// from this server is what it reads from dockerd. Nothing here runs a container, and nothing here knows what a health
// check is: the addresses and process ids that it reports are whatever the test says.
package dockertest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// T is what the server needs of a test: *testing.T, *testing.B and *rapid.T all have it.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Config chooses what kind of engine is faked. The zero value is Docker 20.10 on a unix socket.
type Config struct {
	// APIVersion is the newest version that the server speaks and announces; "1.41" if empty.
	APIVersion string
	// MinAPIVersion is the oldest version that the server speaks; "1.12" if empty.
	MinAPIVersion string
	// TCP listens on loopback TCP rather than on a unix socket.
	TCP bool
	// DeathLag is how long after a die the list goes on showing the container as it was, as 20.10 does; an inspect
	// waits meanwhile, because the real daemon holds the container's lock. Below zero: until Settle is called.
	DeathLag time.Duration
	// StaleInspect makes an inspect answer from the old state during the lag rather than wait.
	StaleInspect bool
	// SlowReader is how long an event waits for a subscriber whose queue is full before that subscriber loses the event
	// silently; 100 ms, as in the daemon, if zero.
	SlowReader time.Duration
	// Clock is the engine's wall clock, of which its stamps are; the machine's if nil. Every wait goes by the machine's.
	Clock func() time.Time
	// NullNetworks makes the list say "Networks": null, as Podman has done.
	NullNetworks bool
}

// Server is a fake Docker Engine. All methods may be called from any goroutine.
type Server struct {
	t        T
	cfg      Config
	endpoint listenAddr
	dir      string
	mux      *http.ServeMux
	requests *counters
	faults   *faults
	hub      *hub

	serving sync.Mutex // guards run; held while the listener opens or closes
	run     *session

	mu         sync.Mutex
	containers map[string]*container
	networks   map[string]*network
	addresses  addressPool
	sequence   int
}

// listenAddr is where a session listens; it stays the same over Down and Up.
type listenAddr struct{ network, address string }

// New starts a server that ends with the test, and all its goroutines with it. It fails the test if it cannot listen.
func New(t T, cfg Config) *Server {
	t.Helper()
	s := newServer(t, cfg.withDefaults())
	if err := s.listen(); err != nil {
		t.Fatalf("starting the fake docker server: %v", err)
		return nil
	}
	t.Cleanup(s.close)
	return s
}

func newServer(t T, cfg Config) *Server {
	requests := newCounters()
	s := &Server{
		t: t, cfg: cfg, requests: requests, faults: newFaults(), hub: newHub(cfg.SlowReader, requests.tell),
		containers: map[string]*container{}, networks: map[string]*network{},
	}
	for name, driver := range map[string]string{"bridge": "bridge", "host": "host", "none": "null"} {
		s.networks[name] = s.newNetwork(name, driver)
	}
	s.mux = s.routes()
	return s
}

func (c Config) withDefaults() Config {
	if c.APIVersion == "" {
		c.APIVersion = "1.41"
	}
	if c.MinAPIVersion == "" {
		c.MinAPIVersion = "1.12"
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.SlowReader == 0 {
		c.SlowReader = 100 * time.Millisecond
	}
	return c
}

// Endpoint is the server's address as a Docker host: "unix:///..." or "tcp://127.0.0.1:...". It never changes.
func (s *Server) Endpoint() string { return s.endpoint.network + "://" + s.endpoint.address }

func (s *Server) listen() error {
	s.endpoint = listenAddr{"tcp", "127.0.0.1:0"}
	if !s.cfg.TCP {
		// Not the test's own directory: its name may be longer than a socket's path may be.
		dir, err := os.MkdirTemp("", "dockertest")
		if err != nil {
			return fmt.Errorf("making a directory for the socket: %w", err)
		}
		s.dir, s.endpoint = dir, listenAddr{"unix", filepath.Join(dir, "docker.sock")}
	}
	return s.up()
}

func (s *Server) up() error {
	s.serving.Lock()
	defer s.serving.Unlock()
	if s.run != nil {
		return nil
	}
	l, err := net.Listen(s.endpoint.network, s.endpoint.address)
	if err != nil {
		return fmt.Errorf("listening on %q: %w", s.Endpoint(), err)
	}
	s.endpoint.address = l.Addr().String()
	s.run = newSession(s)
	go s.run.serve(l)
	return nil
}

func (s *Server) down() {
	s.serving.Lock()
	defer s.serving.Unlock()
	if s.run != nil {
		s.run.end()
		s.run = nil
	}
}

func (s *Server) close() {
	s.down()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
