// Package dubbo is a worked example of an owner's own kind of probe: it asks a
// Dubbo provider for a heartbeat, as the provider's consumers do. A container
// asks for it with the label eru.health.dubbo.port=20880.
package dubbo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// Prober is the kind "dubbo".
type Prober struct{}

// Kind implements healthcheck.Prober.
func (Prober) Kind() string { return "dubbo" }

// Parse implements healthcheck.Prober: port.
func (Prober) Parse(s *healthcheck.Settings) ([]healthcheck.Probe, error) {
	port, err := s.Port("port")
	if err != nil {
		return nil, err
	}
	if port == 0 {
		return nil, s.Errorf("port", "the port of the Dubbo protocol, as in 20880")
	}
	return []healthcheck.Probe{{
		Kind: "dubbo", Name: fmt.Sprintf("dubbo :%d", port), Port: port,
		Run: func(ctx context.Context, t healthcheck.Target) healthcheck.Verdict { return heartbeat(ctx, t, port) },
	}}, nil
}

// heartbeat sends one heartbeat and reads the head of what comes back: the
// answer is bounded by its type.
func heartbeat(ctx context.Context, t healthcheck.Target, port uint16) healthcheck.Verdict {
	start := time.Now()
	conn, err := t.Dial(ctx, port) // ends with ctx, deadline and cancel alike
	if err != nil {
		return healthcheck.FailFrom("connecting", err)
	}
	defer func() { _ = conn.Close() }()
	timings := healthcheck.Timings{Connect: time.Since(start)}

	id := rand.Uint64()
	if _, err := conn.Write(request(id)); err != nil {
		return healthcheck.FailFrom("sending the heartbeat", err)
	}
	var head [headLength]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return healthcheck.FailFrom("waiting for the heartbeat's answer", err)
	}
	v := judge(head, id)
	v.Timings = timings
	v.Timings.FirstByte = time.Since(start)
	return v
}
