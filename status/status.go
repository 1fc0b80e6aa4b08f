// Package status owns the contract that eru-agent has with everybody who reads
// etcd: keys and values, how they are read and followed, and how they are
// written so that nothing older ever overwrites anything newer. It leaves to
// package agent what a container's status is. etcd's types stop here.
//
// A proxy needs a Store and a View: which servers each service has, by the rules
// of docs/proxies.md. Who writes a reader of their own finds vectors to check it
// with in testdata/vectors. The package links nothing but etcd's client.
package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// State is where a container stands in its life.
type State string

// The states. A proxy sends traffic if and only if the state is StateHealthy.
const (
	StateStarting  State = "starting"  // running, no probe passed yet
	StateHealthy   State = "healthy"   // the last probe passed, or there is no check
	StateUnhealthy State = "unhealthy" // the last probe failed
	StateDraining  State = "draining"  // asked to stop
	StatePaused    State = "paused"    // frozen by Docker
	StateStopped   State = "stopped"   // its process has ended
	StateInvalid   State = "invalid"   // a label cannot be understood
	StateLost      State = "lost"      // its node is gone; written by another node's agent
)

// Running says whether a container in this state has a process.
func (s State) Running() bool { return s != StateStopped && s != StateLost }

// Version is the "v" of the values that this package writes.
const Version = 1

// Status is the value of one container's key. Readers ignore fields that they
// do not know; a missing field means its zero value.
type Status struct {
	ID string `json:"id"`
	// Running and Healthy are what Eru core and proxies read; both follow from
	// State and are set by Encode.
	Running bool `json:"running"`
	Healthy bool `json:"healthy"`
	// Networks maps the name of each Docker network to the container's address.
	Networks map[string]string `json:"networks,omitempty"`
	// Extension is the base64 of the labels as JSON.
	Extension string `json:"extension,omitempty"`

	V      int    `json:"v"`
	Name   string `json:"name"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"` // at most 256 bytes
	// Endpoints maps a container port to what a proxy on another host dials.
	Endpoints map[string]string `json:"endpoints,omitempty"`
	// Check says how to probe the container from another host; package
	// healthcheck writes and reads it. Empty: nobody else can.
	Check json.RawMessage `json:"check,omitempty"`
	// Since is the last change of State.
	Since time.Time `json:"since"`
	// Started is when Docker started this life of the container; with the ID
	// it tells one life from the next.
	Started time.Time `json:"started"`
	DNS
	// Seq is the sequence of the node's transaction that wrote the value; it
	// grows with each write of the node.
	Seq uint64 `json:"seq"`

	// Step is not written: Writer.Tell says which step etcd has taken.
	Step uint64 `json:"-"`
}

// Encode returns the JSON of s as written in transaction seq.
func (s Status) Encode(seq uint64) []byte {
	s.V, s.Seq = Version, seq
	s.Running, s.Healthy = s.State.Running(), s.State == StateHealthy
	if !s.Healthy {
		s.DNS = DNS{}
	}
	s.Since, s.Started = s.Since.UTC(), s.Started.UTC()
	b := mustMarshal(s)
	if !bytes.Contains(b, []byte(`\ufffd`)) {
		return b
	}
	// Bytes that are not UTF-8 were replaced, and are written in another way
	// once they have been read back. Take that way at once, so that a value
	// equals what it is decoded to.
	var again Status
	if err := json.Unmarshal(b, &again); err != nil {
		panic(fmt.Sprintf("decoding a status that was just encoded: %v", err))
	}
	return mustMarshal(again)
}

// maxValue bounds one value in bytes. etcd would refuse one of 1.5 MiB, and
// everything that is written with it, for ever; ports and networks come from
// whoever started the container.
const maxValue = 256 << 10

// The reasons of what the elected monitor writes while a node's agent is
// silent.
const (
	ReasonSurrogate = "surrogate" // the verdict is the monitor's, asked from its own node
	ReasonNodeLost  = "node_lost" // of StateLost
)

// ReasonTooLarge says that a status would not have fitted into etcd.
const ReasonTooLarge = "too_large"

// bounded is s, or what can be said of it within maxValue, and that encoded
// without a sequence.
func (s Status) bounded() (Status, []byte) {
	plain := s.Encode(0)
	size := len(plain)
	if size <= maxValue {
		return s, plain
	}
	b := Status{ID: s.ID, State: s.State, Since: s.Since, Started: s.Started,
		Reason: ReasonTooLarge, Detail: fmt.Sprintf("the status has %d bytes, and at most %d are published", size, maxValue)}
	if b.State == StateHealthy {
		b.State = StateInvalid // nobody would know where to send traffic
	}
	return b, b.Encode(0)
}

// mustMarshal encodes what always encodes: strings, maps of strings, and times
// in years 0-9999.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encoding a value of etcd: %v", err))
	}
	return b
}

// Decode reads the value of a status key.
func Decode(value []byte) (Status, error) {
	var s Status
	if err := json.Unmarshal(value, &s); err != nil {
		return Status{}, fmt.Errorf("decoding a status: %w", err)
	}
	if err := toUTC(&s.Since, &s.Started); err != nil {
		return Status{}, fmt.Errorf("decoding a status: %w", err)
	}
	return s, nil
}

// toUTC makes sure that times which were read can be written again.
func toUTC(times ...*time.Time) error {
	for _, at := range times {
		if *at = at.UTC(); at.Year() < 0 || at.Year() > 9999 {
			return fmt.Errorf("year %d is not 0 to 9999", at.Year())
		}
	}
	return nil
}

// Node is the value of a node's key, which lives as long as its session.
type Node struct {
	Nodename string
	Podname  string
	Alive    bool
	Agent    NodeAgent `json:"agent"`
}

// NodeAgent describes the agent that holds a node's session.
type NodeAgent struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Machine  string    `json:"machine"`
	State    string    `json:"state"` // NodeRunning or NodeStopping
}

// The states of a node's agent.
const (
	NodeRunning  = "running"
	NodeStopping = "stopping" // asked to stop; its statuses stay as they are
)

// holds says whether n is of a living agent on the owner's machine that has not
// said that it stops.
func (n Node) holds(owner Owner) bool {
	return n.Alive && n.Agent.Machine == owner.Machine && n.Agent.State != NodeStopping
}

// Encode returns the JSON of n; a node's value bears no sequence.
func (n Node) Encode() []byte {
	n.Agent.Started = n.Agent.Started.UTC()
	return mustMarshal(n)
}

// DecodeNode reads the value of a node key.
func DecodeNode(value []byte) (Node, error) {
	var n Node
	if err := json.Unmarshal(value, &n); err != nil {
		return Node{}, fmt.Errorf("decoding a node: %w", err)
	}
	if err := toUTC(&n.Agent.Started); err != nil {
		return Node{}, fmt.Errorf("decoding a node: %w", err)
	}
	return n, nil
}

// Owner is the value of agent/<node>: who may write for the node. Each of its
// transactions changes it, so a transaction that was decided on an older one
// changes nothing.
type Owner struct {
	Instance string    `json:"instance"`
	Sequence uint64    `json:"sequence"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Machine  string    `json:"machine"`
	// Address is where other hosts reach the node; "" if that is not known.
	Address string `json:"address,omitempty"`
	// Session says that this instance holds the node's session, or is about to:
	// a node without one cannot be told from a silent one, and is never taken for it.
	Session bool `json:"session,omitempty"`
	// Stopping is the agent's last word, which the node's key does not outlive.
	Stopping bool `json:"stopping,omitempty"`
	// Projections are those of which something of the node's may stand.
	Projections []Projection `json:"projections,omitempty"`
}

// Monitor is the value of selfmon/active: the agent that looks after silent
// nodes. It lives as long as that agent's session.
type Monitor struct {
	Node     string    `json:"node"`
	Instance string    `json:"instance"`
	Since    time.Time `json:"since"`
}

// Silence is the value of selfmon/silent/<node>: what the monitors know of a
// node whose session has ended. It says nothing while the node's key is there.
type Silence struct {
	Since time.Time `json:"since"` // when a monitor first saw it
	// Judged is when a monitor decided what becomes of the node's containers;
	// zero before.
	Judged time.Time `json:"judged,omitzero"`
	// Host says whether the host answered last: HostAnswers, HostSilent.
	Host string `json:"host,omitempty"`
}

// What a Silence says of a host.
const (
	HostAnswers = "answers"
	HostSilent  = "silent"
)
