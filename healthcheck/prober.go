package healthcheck

import "context"

// Prober is one kind of probe. HTTP and TCP are built in; the owner of a
// platform compiles in another kind by passing it to cmd.Main, and containers
// ask for it with labels "eru.health.<kind>.<key>".
type Prober interface {
	// Kind is the word that stands in labels and metrics, [a-z0-9_]+.
	Kind() string
	// Parse reads the settings of one container, at least one of which is
	// set, and returns the probes that they ask for. It reads each setting
	// that it knows; one that it never asked for is an error of the label.
	// An error makes the container invalid and is shown to its owner, so it
	// says what was expected; Settings.Errorf writes it well.
	Parse(s *Settings) ([]Probe, error)
}

// Probe is one question to one port of one container.
type Probe struct {
	Kind string // the Prober's
	Name string // for people, "http :80/healthz"
	Port uint16 // the container's port, for endpoints that name none
	// Run asks once. It returns when it has a verdict or soon after ctx ends,
	// whose deadline is the timeout of the check; it may use nothing but t to
	// reach out, closes what it opens and bounds what it reads. It fills
	// Timings as far as it knows them; Probe, and Total if it is zero, are
	// filled for it.
	Run func(ctx context.Context, t Target) Verdict
}
