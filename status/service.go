package status

import "slices"

// Service is the set of servers of one app's entrypoint at one moment; it does
// not change.
type Service struct {
	App, Entrypoint string
	Servers         []Server // by node and ID
	// Panic says that so many are unhealthy while running that the last set is
	// kept.
	Panic bool
	// Revision is etcd's of the newest change that the set takes into account.
	Revision int64
}

// alike says that a proxy does with s what it did with was, where the containers
// are the same.
func (s *Service) alike(was *Service) bool {
	return s.Panic == was.Panic && slices.EqualFunc(s.Servers, was.Servers, func(a, b Server) bool {
		return a.Use == b.Use && a.Silent == b.Silent
	})
}

// Use is what a proxy does with a server.
type Use int

// What a proxy does with a server.
const (
	UseNone  Use = iota // sends nothing
	UseDrain            // begins nothing new, and lets end what is under way
	UseReady            // sends requests
)

// Server is one container of a service, as a proxy may use it.
type Server struct {
	Key      Key
	Status   Status // the newest that could be read
	Revision int64  // etcd's of that
	Use      Use
	// Silent says that the agent of its node is not there: Status is the last
	// known.
	Silent bool
}

// Kept says that the server is used although it is not healthy.
func (s Server) Kept() bool { return s.Use == UseReady && !s.Status.Healthy }
