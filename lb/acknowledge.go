package lb

import (
	"errors"
	"maps"

	"github.com/projecteru2/eru-agent/status"
)

// acknowledge says which draining containers get nothing new any more. Of a
// service that could not be applied it says what it said before.
func (l *Loop) acknowledge(services []*status.Service, err error) {
	failed := map[[2]string]bool{}
	for _, one := range each(err) {
		var of *ServiceError
		var beside *Beside
		switch {
		case errors.As(one, &of):
			failed[[2]string{of.App, of.Entrypoint}] = true
		case !errors.As(one, &beside):
			return // nothing is certain
		}
	}
	drained := map[string]int64{}
	for _, s := range services {
		for _, server := range s.Servers {
			id := server.Key.ID
			switch {
			case server.Use == status.UseReady || server.Status.State != status.StateDraining:
			case !failed[[2]string{s.App, s.Entrypoint}]:
				drained[id] = server.Revision
			case l.reader.Drained[id] != 0:
				drained[id] = l.reader.Drained[id]
			}
		}
	}
	if !maps.Equal(drained, l.reader.Drained) {
		l.record(drained)
	}
}

// record leaves a record for who writes it, in the place of one that was not
// taken yet.
func (l *Loop) record(drained map[string]int64) {
	l.reader.Drained = drained
	select {
	case <-l.records:
	default:
	}
	l.records <- l.reader
}
