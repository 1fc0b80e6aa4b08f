// Package diagnosis says of one container why it gets no traffic, and the one
// thing to do next. It owns the table of what can be the matter; the evidence is
// gathered by others.
package diagnosis

import (
	"net/netip"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

// Evidence is what is known of one container from each side. A side that could not
// be asked says why in its Trouble.
type Evidence struct {
	Word     string   `json:"asked"` // as it was asked for
	Selected []string `json:"-"`     // docker.select, nil for the default rule
	Alone    bool     `json:"-"`     // the agent holds no session: selfmon.enabled is false

	Agent        *trail.Container `json:"agent"` // nil: it knows of none, or was not heard
	AgentHeard   bool             `json:"agent_heard"`
	AgentGuarded bool             `json:"agent_guarded,omitempty"` // it was heard, and tells nothing without TLS or a password
	Ambiguous    bool             `json:"ambiguous,omitempty"`     // to the agent the word means several containers
	AgentTrouble string           `json:"agent_trouble,omitempty"`

	Docker        *Sight `json:"docker"` // nil: it could not be asked
	DockerTrouble string `json:"docker_trouble,omitempty"`

	Etcd        *Entry `json:"etcd"` // nil: it could not be asked, or nobody knows under which key
	EtcdTrouble string `json:"etcd_trouble,omitempty"`
	EtcdAt      string `json:"etcd_at,omitempty"` // endpoints and prefix that were asked

	// Listening are the addresses that are listened on in the container's network
	// namespace; nil: not known.
	Listening []netip.AddrPort `json:"listening,omitempty"`
	// Refused are ports that proxies may send to and nobody listens on.
	Refused []uint16 `json:"refused,omitempty"`
}

// Sight is what Docker says of the container.
type Sight = watcher.Sight

// Entry is what a proxy sees of the container.
type Entry struct {
	Key      status.Key    `json:"key"`
	Exists   bool          `json:"exists"`
	Revision int64         `json:"revision,omitempty"`
	Status   status.Status `json:"status"`
	Use      string        `json:"use"`              // ready, drain or none, by the rules of docs/proxies.md
	Panic    bool          `json:"panic,omitempty"`  // its service keeps its last set
	Silent   bool          `json:"silent,omitempty"` // its node's agent is not there
	Wish     *status.Drain `json:"wish,omitempty"`   // an operator's drain of it, or of its node
	Whole    bool          `json:"whole_node,omitempty"`
}

// Advice is what is the matter, and what to do about it.
type Advice struct {
	Well  bool   `json:"well"` // it gets traffic
	Cause string `json:"cause"`
	Do    string `json:"do,omitempty"` // the one thing to do next; "" for nothing
}

// state is where the container stands by the one who knows best, and why.
func (e Evidence) state() (status.State, string, string) {
	if e.Agent != nil {
		if s := e.Agent.Last(); s.To != "" {
			return status.State(s.To), s.Reason, s.Detail
		}
	}
	if e.Etcd != nil && e.Etcd.Exists {
		s := e.Etcd.Status
		return s.State, s.Reason, s.Detail
	}
	return "", "", ""
}
