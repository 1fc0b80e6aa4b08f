package dockertest

import (
	"strconv"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"
)

// change makes one change to a container and publishes what the change returns. It reports whether there was such a
// container and whether the engine, in the container's state, would have done it; if not, nothing happened.
func (s *Server) change(ref string, what func(*container) []events.Message) bool {
	s.mu.Lock()
	c := s.findLocked(ref)
	if c == nil {
		s.mu.Unlock()
		return false
	}
	messages := what(c)
	s.publishAndUnlock(messages)
	return len(messages) > 0
}

// publishAndUnlock hands the events to the hub before another change can be made, and lets go of the model while they wait
// for slow subscribers.
func (s *Server) publishAndUnlock(messages []events.Message) {
	s.hub.mu.Lock()
	s.mu.Unlock()
	defer s.hub.mu.Unlock()
	s.hub.publishLocked(messages)
}

// Create adds a container without starting it.
func (s *Server) Create(spec Spec) Container {
	return s.create(spec, func(*container) []events.Message { return nil })
}

// Run creates a container and starts it: create, network connect, start.
func (s *Server) Run(spec Spec) Container { return s.create(spec, s.startLocked) }

func (s *Server) create(spec Spec, then func(*container) []events.Message) Container {
	s.mu.Lock()
	c, messages := s.newLocked(spec)
	messages = append(messages, then(c)...)
	made := s.truth(c)
	s.publishAndUnlock(messages)
	return made
}

// NextLife sets what the next start brings, a new address, say.
func (s *Server) NextLife(ref string, next Life) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.findLocked(ref)
	if c != nil {
		c.next = next
	}
	return c != nil
}

// Start starts a container that does not run: network connect, start. It is also what a restart policy does, in its own
// time, after Die.
func (s *Server) Start(ref string) bool { return s.change(ref, s.startLocked) }

func (s *Server) startLocked(c *container) []events.Message {
	if c.state.alive() {
		return nil
	}
	if c.state.status == "restarting" {
		c.restarts++
	}
	c.starts++
	c.settle()
	messages := s.plugLocked(c)
	pid := c.spec.Pid
	if c.next.Pid != 0 {
		pid = c.next.Pid
	}
	c.next, c.stopping, c.killed = Life{}, false, false
	c.state.status, c.state.pid, c.state.exitCode, c.state.oom = "running", pid, 0, false
	c.state.startedAt = s.cfg.Clock()
	return append(messages, s.event(c, events.ActionStart))
}

// Die ends a container's process by itself: die, network disconnect; then stop, if BeginStop came before. Under a restart
// policy that applies, the container is then "restarting" until Start.
func (s *Server) Die(ref string, exitCode int) bool {
	return s.change(ref, func(c *container) []events.Message { return s.dieLocked(c, exitCode) })
}

// OOM ends a container for want of memory: oom, die with 137, network disconnect.
func (s *Server) OOM(ref string) bool {
	return s.change(ref, func(c *container) []events.Message {
		if !c.state.alive() {
			return nil
		}
		messages := []events.Message{s.event(c, events.ActionOOM)}
		messages = append(messages, s.dieLocked(c, killed)...)
		c.state.oom = true
		return messages
	})
}

func (s *Server) dieLocked(c *container, exitCode int) []events.Message {
	if !c.state.alive() {
		return nil
	}
	messages := []events.Message{s.dieEvent(c, exitCode)}
	c.lagBehind(s.cfg.DeathLag)
	c.state.pid, c.state.exitCode, c.state.finishedAt = 0, exitCode, s.cfg.Clock()
	c.state.status = "exited"
	if !c.stopping && !c.killed && c.restartsAfter(exitCode) {
		c.state.status = "restarting"
	}
	messages = append(messages, s.unplugLocked(c)...)
	if c.stopping {
		c.stopping = false
		messages = append(messages, s.event(c, events.ActionStop))
	}
	return messages
}

func (c *container) restartsAfter(exitCode int) bool {
	switch c.spec.RestartPolicy {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return exitCode != 0
	}
	return false
}

// Restart is "docker restart": the events of Stop if it ran, those of Start, restart. The container keeps its ID and, but
// for NextLife, its addresses.
func (s *Server) Restart(ref string) bool {
	return s.change(ref, func(c *container) []events.Message {
		messages := append(s.stopLocked(c), s.startLocked(c)...)
		return append(messages, s.event(c, events.ActionRestart))
	})
}

// Pause freezes a running container.
func (s *Server) Pause(ref string) bool {
	return s.toggle(ref, "running", "paused", events.ActionPause)
}

// Unpause thaws a paused container.
func (s *Server) Unpause(ref string) bool {
	return s.toggle(ref, "paused", "running", events.ActionUnPause)
}

func (s *Server) toggle(ref, from, to string, action events.Action) bool {
	return s.change(ref, func(c *container) []events.Message {
		if c.state.status != from {
			return nil
		}
		c.state.status = to
		return []events.Message{s.event(c, action)}
	})
}

// Rename gives a container another name.
func (s *Server) Rename(ref, name string) bool {
	return s.change(ref, func(c *container) []events.Message {
		old := c.name
		c.name = name
		return []events.Message{s.event(c, events.ActionRename, "oldName", "/"+old)}
	})
}

// Remove is "docker rm -f": kill, die and network disconnect if it ran, then destroy.
func (s *Server) Remove(ref string) bool {
	return s.change(ref, func(c *container) []events.Message {
		messages := s.killLocked(c, int(unix.SIGKILL))
		c.settle()
		delete(s.containers, c.id)
		return append(messages, s.event(c, events.ActionDestroy))
	})
}

// Exec is one run of a HEALTHCHECK or "docker exec" in a running container: exec_create, exec_start, exec_die.
func (s *Server) Exec(ref, command string, exitCode int) bool {
	return s.change(ref, func(c *container) []events.Message {
		if !c.state.alive() {
			return nil
		}
		id := makeID("exec", command)
		return []events.Message{
			s.event(c, events.ActionExecCreate+events.Action(": "+command), "execID", id),
			s.event(c, events.ActionExecStart+events.Action(": "+command), "execID", id),
			s.event(c, events.ActionExecDie, "execID", id, "exitCode", strconv.Itoa(exitCode)),
		}
	})
}
