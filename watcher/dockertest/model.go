package dockertest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
)

// Spec describes a container. The zero value is one on the default bridge with an address of its own.
type Spec struct {
	ID     string // 64 hexadecimal digits; made up if empty.
	Name   string // Made up if empty.
	Image  string // "dockertest" if empty.
	Labels map[string]string
	Env    []string
	// Networks is network -> address: IPv4, IPv6, both with a comma between, or "" for the lowest free one of
	// 127.17.0.0/16 (loopback, so that a probe never leaves the machine). Networks that do not exist are created. If nil,
	// NetworkMode decides.
	Networks map[string]string
	// NetworkMode is "", "default", "host", "none", "container:<id or name>" or a network's name. If empty it follows from
	// Networks: "default" if that has "bridge", else its lexically first name.
	NetworkMode   string
	Ports         []Port
	StopSignal    string // "TERM" if empty.
	StopTimeout   int    // Seconds; 0 for not set.
	RestartPolicy string // "no" if empty, "always", "unless-stopped" or "on-failure".
	// Pid is what inspect reports while the container runs. If 0 it is the test's own process, so that a pidfd for it
	// exists and never fires.
	Pid int
}

// Life changes what the next start of a container brings. Zero fields change nothing.
type Life struct {
	Networks map[string]string // Addresses, as in Spec.
	Pid      int
}

// Container is the truth about a container at one moment, whatever the list still says of it.
type Container struct {
	ID, Name     string
	Labels       map[string]string
	Status       string // As in inspect: "created", "running", "paused", "restarting" or "exited".
	Networks     map[string]string
	Pid          int
	ExitCode     int
	Starts       int // How often it was started; 1 in its first life.
	RestartCount int
	StartedAt    time.Time
	FinishedAt   time.Time
}

// container is one container of the model. The fields are guarded by Server.mu.
type container struct {
	id, name string
	spec     Spec
	mode     string // NetworkMode with its target resolved to an ID.
	created  time.Time
	order    int  // Of creation.
	stopping bool // The engine was asked to stop it: a die is followed by stop, and no policy restarts it.
	killed   bool // The engine was asked to kill it: no policy restarts it.
	restarts int
	starts   int
	next     Life
	state    state
	lagging  *lag
}

// state is what a container is between two changes; it is replaced, never altered.
type state struct {
	status     string
	pid        int
	exitCode   int
	oom        bool
	startedAt  time.Time
	finishedAt time.Time
	endpoints  map[string]endpoint // By network.
}

func (st state) alive() bool { return st.status == "running" || st.status == "paused" }

func (s *Server) truth(c *container) Container {
	out := Container{
		ID: c.id, Name: c.name, Labels: maps.Clone(c.spec.Labels), Status: c.state.status, Pid: c.state.pid,
		ExitCode: c.state.exitCode, Starts: c.starts, RestartCount: c.restarts,
		StartedAt: c.state.startedAt, FinishedAt: c.state.finishedAt, Networks: map[string]string{},
	}
	for name, e := range c.state.endpoints {
		out.Networks[name] = strings.Trim(e.ipv4+","+e.ipv6, ",")
	}
	return out
}

// Container is the truth about one container, by ID or name; false if there is none.
func (s *Server) Container(ref string) (Container, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.findLocked(ref)
	if c == nil {
		return Container{}, false
	}
	return s.truth(c), true
}

// Containers is the truth about all containers, in the order of their creation.
func (s *Server) Containers() []Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Container
	for _, c := range s.sortedLocked() {
		all = append(all, s.truth(c))
	}
	return all
}

func (s *Server) sortedLocked() []*container {
	return slices.SortedFunc(maps.Values(s.containers), func(a, b *container) int { return a.order - b.order })
}

func (s *Server) findLocked(ref string) *container {
	if c := s.containers[ref]; c != nil {
		return c
	}
	for _, c := range s.containers {
		if c.name == ref || len(ref) >= 12 && strings.HasPrefix(c.id, ref) {
			return c
		}
	}
	return nil
}

// newLocked adds a container that was created and not started, and the events that tell of it.
func (s *Server) newLocked(spec Spec) (*container, []events.Message) {
	s.sequence++
	if spec.ID == "" {
		spec.ID = makeID("container", fmt.Sprint(s.sequence))
	}
	if spec.Name == "" {
		spec.Name = fmt.Sprintf("container-%d", s.sequence)
	}
	if spec.Image == "" {
		spec.Image = "dockertest"
	}
	if spec.Pid == 0 {
		spec.Pid = os.Getpid()
	}
	c := &container{
		id: spec.ID, name: spec.Name, spec: spec, order: s.sequence, created: s.cfg.Clock(), state: state{status: "created"},
	}
	made := s.attachLocked(c)
	s.containers[c.id] = c
	return c, append(made, s.event(c, events.ActionCreate))
}

// makeID is a made-up ID: 64 hexadecimal digits, the same in every run.
func makeID(kind, name string) string {
	sum := sha256.Sum256([]byte("dockertest/" + kind + "/" + name))
	return hex.EncodeToString(sum[:])
}
