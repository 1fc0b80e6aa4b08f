package status

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"
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

// Encode returns the JSON of r.
func (r Reader) Encode() []byte {
	r.Started = r.Started.UTC()
	if r.Follows == nil {
		r.Follows = []string{}
	}
	if r.Drained == nil {
		r.Drained = map[string]int64{}
	}
	return mustMarshal(r)
}

// DecodeReader reads the value of a reader's key.
func DecodeReader(value []byte) (Reader, error) {
	var r Reader
	if err := json.Unmarshal(value, &r); err != nil {
		return Reader{}, fmt.Errorf("decoding a reader: %w", err)
	}
	if err := toUTC(&r.Started); err != nil {
		return Reader{}, fmt.Errorf("decoding a reader: %w", err)
	}
	r.Kind = tidy(r.Kind) // it is shown to people
	return r, nil
}

// Sends says whether r sends traffic to the service of a container.
func (r Reader) Sends(k Key) bool {
	for _, one := range r.Follows {
		app, entrypoint, ok := strings.Cut(one, "/")
		if ok && (app == "*" || app == k.App) && (entrypoint == "*" || entrypoint == k.Entrypoint) {
			return true
		}
	}
	return false
}

func (l layout) readers() string { return l.prefix + "/reader/" }

// Readers are those whose session lives, by name, and what stands between them
// and cannot be read.
type Readers struct {
	Live   map[string]Reader
	Unread []Unread
}

func (s *Store) readers() *shelf[Reader] {
	return &shelf[Reader]{store: s, prefix: s.keys.readers(), decode: func(name string, value []byte) (Reader, error) {
		if !ValidName(name) {
			return Reader{}, unreadable{"key", fmt.Errorf("reading the name of a reader: %.64q is not 1 to %d of [A-Za-z0-9._-]", name, MaxName)}
		}
		if len(value) > maxValue {
			return Reader{}, unreadable{"size", fmt.Errorf("reading a reader: %d bytes, and at most %d are read", len(value), maxValue)}
		}
		return DecodeReader(value)
	}}
}

// Readers reads once who lives.
func (s *Store) Readers(ctx context.Context) (Readers, error) {
	f := s.readers()
	if err := f.list(ctx); err != nil {
		return Readers{}, err
	}
	return Readers{f.values, f.refused()}, nil
}

// FollowReaders tells who lives and what they have applied, at first and
// whenever that changes, until ctx ends; then it returns nil. While etcd cannot
// be followed the last known stands.
func (s *Store) FollowReaders(ctx context.Context, tell func(Readers)) error {
	f := s.readers()
	f.follow(ctx, func() { tell(Readers{maps.Clone(f.values), f.refused()}) }, func(err error) {
		s.log.Warn("the readers cannot be followed", zap.Error(err))
	})
	return nil
}
