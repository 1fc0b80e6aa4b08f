package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// Crowd is a fake Docker whose containers are answered by the targets, the i-th
// at board.Address(i): real ones would cost more than what is measured.
type Crowd struct {
	*dockertest.Server
	Kind string // how its containers are probed: http or tcp

	port uint16
	next int
	ends []func()
}

// Crowd starts a fake Docker with n containers.
func (s *Stage) Crowd(n int, kind string) *Crowd {
	c := &Crowd{Kind: kind, port: s.Port}
	c.Server = dockertest.New((*caller)(c), dockertest.Config{})
	for range n {
		c.Join(0, nil)
	}
	return c
}

// End ends the fake Docker.
func (c *Crowd) End() {
	for i := len(c.ends) - 1; i >= 0; i-- {
		c.ends[i]()
	}
	c.ends = nil
}

// Labels are those of a container of this crowd, ten to a service.
func (c *Crowd) Labels(i int) map[string]string {
	labels := map[string]string{"eru.app": fmt.Sprintf("service-%d", i/10), "eru.entrypoint": "web", "eru.pod": "bench"}
	if c.Kind == "tcp" {
		labels["eru.health.tcp.ports"] = strconv.Itoa(int(c.port))
	} else {
		labels["eru.health.http.port"] = strconv.Itoa(int(c.port))
	}
	return labels
}

// Join runs one more container, whose process is pid, or one that is not the
// container's if it is 0: the agent then has Docker's word alone for its end.
// More labels than its own replace them all.
func (c *Crowd) Join(pid int, labels map[string]string) dockertest.Container {
	return c.Server.Run(c.Spec(pid, labels))
}

// Spec is what Join runs next.
func (c *Crowd) Spec(pid int, labels map[string]string) dockertest.Spec {
	i := c.next % (board.Most - 256)
	c.next++
	if labels == nil {
		labels = c.Labels(i)
	}
	return dockertest.Spec{
		ID: ContainerID(c.next), Name: fmt.Sprintf("bench-%d", c.next), Labels: maps.Clone(labels), Pid: pid,
		Networks: map[string]string{"bridge": board.Address(i).String()},
	}
}

// NextID is the ID that the container has that joins next.
func (c *Crowd) NextID() string { return ContainerID(c.next + 1) }

// ContainerID is a made-up ID, the same in every run.
func ContainerID(n int) string {
	sum := sha256.Sum256([]byte("bench container " + strconv.Itoa(n)))
	return hex.EncodeToString(sum[:])
}

// caller is what the fake Docker asks of who started it.
type caller Crowd

func (c *caller) Helper()                           {}
func (c *caller) Cleanup(f func())                  { c.ends = append(c.ends, f) }
func (c *caller) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (c *caller) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
