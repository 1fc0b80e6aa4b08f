package status

import (
	"context"
	"time"
)

// Reader is the value of reader/<name>, which lives as long as the session of a
// reader that says who it is and what it has applied.
type Reader struct {
	Kind     string    `json:"kind"` // "haproxy", "xds"
	Version  string    `json:"version"`
	Machine  string    `json:"machine"`
	Started  time.Time `json:"started"`
	Instance string    `json:"instance"`
	// Follows are the services that it sends traffic to, as app/entrypoint,
	// app/* or */*.
	Follows []string `json:"follows"`
	// Drained maps the ID of each container that it begins nothing new with,
	// because that drains, to the revision of the status that said so.
	Drained map[string]int64 `json:"drained"`
}

// Acknowledge keeps a reader's record at reader/<name>, under a session of ttl,
// until ctx ends, and writes each record that comes from records, of several
// the newest; then it returns nil. etcd that is away is no error: the newest
// record is written when it is back.
func (s *Store) Acknowledge(ctx context.Context, name string, ttl time.Duration, records <-chan Reader) error {
	panic("not yet")
}
