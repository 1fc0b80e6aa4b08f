// Package lb brings a proxy to what etcd says of its services. It owns the loop
// between status.Views and an Outlet, the acknowledgement of drains, and the
// metrics of both; how a proxy is spoken to is the Outlet's.
package lb

import (
	"context"
	"errors"
	"fmt"

	"github.com/projecteru2/eru-agent/status"
)

// Outlet brings a proxy to what services are.
type Outlet interface {
	// Apply returns once the proxy sends its traffic as services say. It may be
	// called again with the same, and then makes good what the proxy has
	// forgotten. After an error it is called again with what is newest then. A
	// ServiceError, alone or among those that it joins, is of that service only,
	// and a Beside of none; with any other nothing is certain.
	Apply(ctx context.Context, services []*status.Service) error
	// Lost receives when the proxy may have forgotten what was applied; nil if it
	// cannot.
	Lost() <-chan struct{}
}

// Confirmer is an Outlet whose proxies take what was applied in their own time.
// What it applied is acknowledged once it is confirmed.
type Confirmer interface {
	Outlet
	// Confirmed receives the services of an Apply once the proxies send their
	// traffic as these say, as far as can be known; of several the newest.
	Confirmed() <-chan []*status.Service
}

// Classifier is an Outlet that says beforehand of which kinds its errors are (their
// method Why), so that each kind is counted from 0 on.
type Classifier interface {
	Outlet
	Kinds() []string
}

// ServiceError says that one service could not be applied.
type ServiceError struct {
	App, Entrypoint string
	Err             error
}

func (e *ServiceError) Error() string {
	return fmt.Sprintf("applying %s/%s: %s", e.App, e.Entrypoint, e.Err)
}

// Unwrap returns what is wrong.
func (e *ServiceError) Unwrap() error { return e.Err }

// Beside is what went wrong beside the services, which were applied.
type Beside struct{ Err error }

func (e *Beside) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Beside) Unwrap() error { return e.Err }

// whyOther is the kind of an error that has none.
const whyOther = "other"

// why is the kind of an error, one of a few words: that of its method Why, if it
// has one.
func why(err error) string {
	var kind interface{ Why() string }
	if errors.As(err, &kind) {
		return kind.Why()
	}
	return whyOther
}

// each returns the errors that err joins, itself if it joins none.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range many.Unwrap() {
			all = append(all, each(one)...)
		}
		return all
	}
	return []error{err}
}
