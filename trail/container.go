package trail

import "time"

// Container is what is remembered of one container, at the moment it was asked
// for. All texts are fit to be shown.
type Container struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	App        string    `json:"app"`
	Entrypoint string    `json:"entrypoint"`
	Started    time.Time `json:"started"`          // of its present life
	Removed    time.Time `json:"removed,omitzero"` // zero while it is there
	Facts      Facts     `json:"facts"`
	Probes     []Probe   `json:"probes"`   // the last ones, the oldest first
	Verdicts   []Verdict `json:"verdicts"` // changes of the verdict, the oldest first
	Steps      []Step    `json:"steps"`    // changes of what is published, the oldest first
	// Published is the newest that etcd has taken from this agent; zero before.
	Published Publication `json:"published,omitzero"`
}

// Last is the newest step, the zero Step before the first.
func (c Container) Last() Step {
	if len(c.Steps) == 0 {
		return Step{}
	}
	return c.Steps[len(c.Steps)-1]
}

// Facts are how a container was understood.
type Facts struct {
	Identity  string            `json:"identity"`           // from what app and entrypoint were taken
	Labels    []Label           `json:"labels"`             // those that were read
	Fault     string            `json:"fault,omitempty"`    // the label that cannot be understood
	Probes    []string          `json:"probes"`             // what is asked, "http :80/healthz"
	Interval  time.Duration     `json:"interval"`           // between probes
	Timeout   time.Duration     `json:"timeout"`            // of one
	Publish   []uint16          `json:"publish"`            // container ports that proxies may send to
	Address   string            `json:"address,omitempty"`  // where the agent reaches it
	Why       string            `json:"why"`                // why there, or why nowhere
	Networks  map[string]string `json:"networks,omitempty"` // all that it has an address on
	Endpoints map[string]string `json:"endpoints,omitempty"`
	Pid       int               `json:"pid"`
}

// Label is one label that was read.
type Label struct {
	Name    string `json:"name"`  // or the place in ERU_META
	Value   string `json:"value"` // shortened
	Meaning string `json:"meaning"`
}

// Probe is how all probes of a container went once.
type Probe struct {
	At     time.Time `json:"at"`
	Pass   bool      `json:"pass"`
	Reason string    `json:"reason,omitempty"` // why not, in one word
	// Void says that it was not believed, because the agent itself was not fit to
	// measure: Reason tells why.
	Void   bool `json:"void,omitempty"`
	Phases `json:"phases"`
}

// Phases are when each phase of a probe was over, measured from its start; zero
// where it was not reached or does not exist. They are kept in microseconds.
type Phases struct {
	Connect   time.Duration `json:"connect,omitempty"`
	TLS       time.Duration `json:"tls,omitempty"`
	Write     time.Duration `json:"write,omitempty"`
	FirstByte time.Duration `json:"first_byte,omitempty"`
	Total     time.Duration `json:"total"`
}

// Verdict is a probe whose outcome was another one than that of the probe before.
type Verdict struct {
	Probe
	Name   string `json:"probe,omitempty"` // which of the container's probes it is about, "http :80/healthz"
	Detail string `json:"detail,omitempty"`
}

// Step is a change of what the agent says of a container: of its state, if From
// and To differ, else of the reason.
type Step struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	App        string    `json:"app"`
	Entrypoint string    `json:"entrypoint"`
	From       string    `json:"from,omitempty"` // "" at the beginning of a life
	To         string    `json:"to"`
	Reason     string    `json:"reason,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Detected   time.Time `json:"detected"` // when its cause was known
	// Inherited says that an earlier agent had published it.
	Inherited bool `json:"inherited,omitempty"`
	// Overtaken says that something newer was written in its place.
	Overtaken bool `json:"overtaken,omitempty"`
	// Published is when etcd had taken it; zero before, and if it was overtaken.
	Published Publication `json:"published,omitzero"`
}

// Publication is what etcd said when it took something.
type Publication struct {
	At       time.Time `json:"at"`
	Revision int64     `json:"revision"`
	Deleted  bool      `json:"deleted,omitempty"` // it took the key away
}
