package stage

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/bench/kernel"
)

// Sight is one change of one key, as the witness saw it.
type Sight struct {
	ID     string // the last part of the key
	State  string // of a container; "" if the key was deleted or its value has none
	Reason string // what its value says of it, if anything
	At     time.Duration
}

// Witness follows a prefix of etcd with a client of its own, shares no code with
// the agent, and keeps all that it sees. Its times are those of the arrival.
type Witness struct {
	client *clientv3.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	heard   int // responses
	sights  []Sight
	changed chan struct{} // closed at the next sight
	failed  error
}

// Witness follows from now on; End ends it.
func (s *Stage) Witness(ctx context.Context, prefix string) (*Witness, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(s.Etcd.Endpoint, ","), Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	watching, cancel := context.WithCancel(ctx)
	w := &Witness{client: client, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	events := client.Watch(watching, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	stands := make(chan struct{})
	go func() {
		defer close(w.done)
		for resp := range events {
			if resp.Created {
				close(stands)
			}
			w.hear(resp)
		}
	}()
	select {
	case <-stands:
		return w, nil
	case <-time.After(Patience):
		err = fmt.Errorf("following %q in etcd: it does not begin", prefix)
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.End()
	return nil, err
}

// End ends the witness, not what it saw.
func (w *Witness) End() {
	w.cancel()
	<-w.done
	_ = w.client.Close()
}

func (w *Witness) hear(resp clientv3.WatchResponse) {
	now := kernel.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard++
	if err := resp.Err(); err != nil {
		w.failed = err
	}
	for _, e := range resp.Events {
		key := string(e.Kv.Key)
		w.sights = append(w.sights, Sight{ID: key[strings.LastIndexByte(key, '/')+1:], State: textIn(e.Kv.Value, "state"), Reason: textIn(e.Kv.Value, "reason"), At: now})
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// textIn reads one field and nothing else: the witness must not take CPU from
// those who are measured.
func textIn(value []byte, field string) string {
	_, rest, found := bytes.Cut(value, []byte(`"`+field+`":"`))
	if !found {
		return ""
	}
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}

// Heard is how many responses of etcd that were.
func (w *Witness) Heard() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}

// Seen is how many sights there are.
func (w *Witness) Seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sights)
}

// Since are the sights after the first n.
func (w *Witness) Since(n int) []Sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Sight(nil), w.sights[n:]...)
}

// Await shows done each sight after the first n, in order, until it says yes,
// and returns that one.
func (w *Witness) Await(ctx context.Context, n int, what string, done func(Sight) bool) (Sight, error) {
	for {
		w.mu.Lock()
		fresh, changed, failed := w.sights[n:], w.changed, w.failed
		w.mu.Unlock()
		for _, s := range fresh {
			if done(s) {
				return s, nil
			}
		}
		n += len(fresh)
		if failed != nil {
			return Sight{}, fmt.Errorf("waiting for %s: following etcd: %w", what, failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Sight{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// AwaitAll is AwaitMany within Patience.
func (w *Witness) AwaitAll(ctx context.Context, n int, state string, count int) (Sight, error) {
	var last Sight
	err := Within(ctx, func(ctx context.Context) error {
		var err error
		last, err = w.AwaitMany(ctx, n, state, count)
		return err
	})
	return last, err
}

// AwaitMany waits until count different containers were seen in a state after the
// first n sights, and returns the last of those sights.
func (w *Witness) AwaitMany(ctx context.Context, n int, state string, count int) (Sight, error) {
	seen := map[string]bool{}
	last, err := w.Await(ctx, n, fmt.Sprintf("%d containers to be %s", count, state), func(s Sight) bool {
		if s.State == state {
			seen[s.ID] = true
		}
		return len(seen) >= count
	})
	if err != nil {
		err = fmt.Errorf("%w: %d are", err, len(seen))
	}
	return last, err
}
