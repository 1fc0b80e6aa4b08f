package dockertest

import (
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"
)

const killed = 128 + int(unix.SIGKILL)

// Stop is "docker stop" of a container that ends at once: kill, die, network disconnect, stop.
func (s *Server) Stop(ref string) bool { return s.change(ref, s.stopLocked) }

func (s *Server) stopLocked(c *container) []events.Message {
	if c.state.status == "restarting" {
		c.state.status = "exited"
		return []events.Message{s.event(c, events.ActionStop)}
	}
	return append(s.beginStopLocked(c), s.dieLocked(c, 0)...)
}

// BeginStop is the first half of "docker stop": kill with the container's stop signal. The process lives on until Die.
func (s *Server) BeginStop(ref string) bool { return s.change(ref, s.beginStopLocked) }

func (s *Server) beginStopLocked(c *container) []events.Message {
	if !c.state.alive() {
		return nil
	}
	c.stopping = true
	sig, _ := ParseSignal(c.spec.StopSignal)
	messages := []events.Message{s.killEvent(c, sig)}
	if c.state.status == "paused" {
		c.state.status = "running"
		messages = append(messages, s.event(c, events.ActionUnPause))
	}
	return messages
}

func (s *Server) killEvent(c *container, sig int) events.Message {
	return s.event(c, events.ActionKill, "signal", strconv.Itoa(sig))
}

// Kill is "docker kill": kill with the signal ("KILL", "SIGTERM", "9"); with KILL the container dies, with any other it
// lives on until Die. No policy restarts what was killed.
func (s *Server) Kill(ref, signal string) bool {
	sig, ok := ParseSignal(signal)
	if !ok {
		return false
	}
	return s.change(ref, func(c *container) []events.Message { return s.killLocked(c, sig) })
}

func (s *Server) killLocked(c *container, sig int) []events.Message {
	if !c.state.alive() {
		return nil
	}
	messages := []events.Message{s.killEvent(c, sig)}
	if sig != int(unix.SIGKILL) {
		return messages
	}
	c.killed = true
	return append(messages, s.dieLocked(c, killed)...)
}

// ParseSignal reads a signal as Docker does: "SIGTERM", "TERM" or "15"; "" is TERM.
func ParseSignal(signal string) (int, bool) {
	if signal == "" {
		return int(unix.SIGTERM), true
	}
	if n, err := strconv.Atoi(signal); err == nil {
		return n, n > 0
	}
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(signal), "SIG"))
	return int(sig), sig != 0
}
