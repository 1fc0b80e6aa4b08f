package main

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/e2e/proxy"
)

const lookEvery = 10 * time.Millisecond

// vigil looks at the set all the time.
type vigil struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	samples []sample
	blind   int // how often HAProxy did not answer
}

// sample is the set at one moment.
type sample struct {
	at      time.Time
	servers []proxy.Server
}

func (s *scene) watch(ctx context.Context) *vigil {
	ctx, cancel := context.WithCancel(ctx)
	v := &vigil{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		_ = every(ctx, lookEvery, func() (bool, error) {
			at := time.Now()
			servers, err := s.haproxy.Servers(ctx, "shop-web")
			v.mu.Lock()
			defer v.mu.Unlock()
			if err != nil {
				v.blind++
			} else {
				v.samples = append(v.samples, sample{at, servers})
			}
			return false, nil
		})
	}()
	return v
}

func (v *vigil) end() {
	v.cancel()
	<-v.ended
}

// without is in how many samples one of those that are healthy got no requests.
func (v *vigil) without(healthy []string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range v.samples {
		if slices.ContainsFunc(healthy, func(address string) bool { return !s.has(address, serves) }) {
			n++
		}
	}
	return n
}

// fewest is how many got requests when they were fewest.
func (v *vigil) fewest() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	least := math.MaxInt
	for _, s := range v.samples {
		n := 0
		for _, server := range s.servers {
			if server.Serving {
				n++
			}
		}
		least = min(least, n)
	}
	return least
}

// lastWith is when a server was last seen not to be taken out; HAProxy's own
// checks do not count. Zero if never.
func (v *vigil) lastWith(address string) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range slices.Backward(v.samples) {
		if s.has(address, admitted) {
			return s.at
		}
	}
	return time.Time{}
}

func (s sample) has(address string, ok func(proxy.Server) bool) bool {
	return slices.ContainsFunc(s.servers, func(server proxy.Server) bool { return server.Address == address && ok(server) })
}

func serves(s proxy.Server) bool { return s.Serving }

func admitted(s proxy.Server) bool { return s.Admitted }
