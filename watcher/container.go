// Package watcher knows which containers run on this node, where they are
// reached, and when each begins to stop and dies. It owns everything that
// speaks to Docker (only GET and HEAD are ever sent; Docker's types stop here)
// and the kernel's word on a process's end. It leaves to package agent what
// follows from it.
//
// One goroutine drains Docker's events into a queue that keeps the newest word
// per container and never waits; one hears from the kernel when a process ends;
// one lists all containers from time to time; one owns what is known of each
// container and tells the reader of Events. It never waits for Docker: each
// container that is asked about has a goroutine that waits for the answer.
package watcher

import (
	"net/netip"
	"syscall"
	"time"
)

// Container is what is known of one life of a container.
type Container struct {
	ID     string
	Name   string
	Labels map[string]string
	// Started is when Docker started this life; ID and Started name it.
	Started time.Time
	Pid     int
	Paused  bool

	// Addr is where this node reaches the container, and Why says why there; it is
	// not valid if this node cannot, and NoAddr then says why.
	Addr     netip.Addr
	Why      string
	NoAddr   string
	Host     bool // shares the node's network
	Networks map[string]netip.Addr
	// Published maps a TCP port of the container to where the node publishes
	// it; an unspecified address means every address of the node.
	Published map[uint16]netip.AddrPort

	StopSignal  syscall.Signal
	StopTimeout time.Duration // between the stop signal and SIGKILL
}

// Kind is what an Event tells.
type Kind int

// The kinds of events.
const (
	// Running: the container runs; it is new, a new life, or a fact changed.
	Running Kind = iota
	// Stopping: it was sent its stop signal, SIGTERM or SIGKILL.
	Stopping
	// Exited: its process has ended. Told again when Docker's exit code comes
	// after the kernel's word, and when the container has got another name.
	Exited
	// Removed: Docker knows it no more.
	Removed
	// Listed: Docker was asked for all containers; Present holds those of ours
	// that exist.
	Listed
	// Synced: all details asked for at the first listing have been told, but for
	// those of containers about which Docker does not answer.
	Synced
)

// Event is one thing that happened. Events of one container come in order.
type Event struct {
	Kind      Kind
	ID        string
	Container Container // of Running, Stopping, Exited
	Exit      Exit      // of Exited
	Signal    syscall.Signal
	// Present, of Listed, has an entry for each container of ours that exists, in
	// any state but created. It is true if the container runs or is paused, false
	// if not, also between restarts. It errs towards running, never towards dead:
	// a listing may lag behind an end, and what was told or heard to run since
	// counts as running.
	Present map[string]bool
	At      time.Time // when the agent learnt it; of Listed, when it asked
}

// Exit says how a process ended.
type Exit struct {
	Known bool // Docker told the code; the kernel's word comes without
	Code  int
	OOM   bool
}
