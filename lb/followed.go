package lb

import (
	"context"

	"github.com/projecteru2/eru-agent/status"
)

// View knows services: *status.View.
type View interface {
	Run(ctx context.Context) error
	Changed() <-chan struct{}
	Services() []*status.Service
	State() status.ViewState
}

// Followed is what a View is of; an empty field is any.
type Followed struct {
	App, Entrypoint string
	View            View
}

// name is as a Reader's Follows has it.
func (f Followed) name() string { return orAny(f.App) + "/" + orAny(f.Entrypoint) }

func orAny(name string) string {
	if name == "" {
		return "*"
	}
	return name
}

// gather returns all services, and the names of those of which nothing is known:
// what the proxy does with these is left as it is. A service that is known to
// have no container is one without servers.
func (l *Loop) gather() ([]*status.Service, []string) {
	var services []*status.Service
	var unknown []string
	for i, f := range l.followed {
		state := f.View.State()
		if state.Revision == 0 {
			unknown = append(unknown, f.name())
			continue
		}
		found := f.View.Services()
		switch {
		case len(found) > 0 || f.App == "" || f.Entrypoint == "":
			delete(l.empty, i)
		case l.empty[i] == nil:
			l.empty[i] = &status.Service{App: f.App, Entrypoint: f.Entrypoint, Revision: state.Revision}
			fallthrough
		default:
			found = []*status.Service{l.empty[i]}
		}
		services = append(services, found...)
	}
	return services, unknown
}

func newest(services []*status.Service) int64 {
	revision := int64(0)
	for _, s := range services {
		revision = max(revision, s.Revision)
	}
	return revision
}
