package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Gone is the state of a container whose key was deleted.
const Gone = "gone"

// Container is a real container of a node.
type Container struct {
	ID, Name string
	// Control is where the server in it is told how to behave; Docker is asked if it is "".
	Control string

	node *Node
	t    testing.TB
}

// Docker runs a verb of Docker's command line on the container: c.Docker("stop", "--time=1").
func (c *Container) Docker(verb string, flags ...string) string {
	c.t.Helper()
	return c.node.Command(c.t, append(append([]string{verb}, flags...), c.ID)...)
}

// Address is the container's on a network, or on its only one.
func (c *Container) Address(network string) string {
	c.t.Helper()
	var networks map[string]struct{ IPAddress string }
	text := c.Docker("inspect", "--format", "{{json .NetworkSettings.Networks}}")
	if err := json.Unmarshal([]byte(text), &networks); err != nil {
		c.t.Fatalf("reading the networks of %s: %v", c.Name, err)
	}
	if network != "" {
		return networks[network].IPAddress
	}
	for _, n := range networks {
		return n.IPAddress
	}
	return ""
}

// AwaitListening returns once the server in the container listens on its port, before which any other port refuses, too.
func (c *Container) AwaitListening() {
	c.t.Helper()
	Await(c.t, c.Name+" to listen on port 80", func() error {
		if log := c.Docker("logs"); !strings.Contains(log, "port 80 ") {
			return fmt.Errorf("its log has %q", log)
		}
		return nil
	})
}

// Behave makes the server in the container behave in a mode of e2e/web, and returns when it does.
func (c *Container) Behave(mode string) {
	c.t.Helper()
	if c.Control == "" {
		c.Control = net.JoinHostPort(c.Address(""), "8081")
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	Await(c.t, "the control server of "+c.Name, func() error {
		resp, err := client.Get("http://" + c.Control + "/behave?mode=" + url.QueryEscape(mode))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return errors.Join(err, errors.New(string(body)))
		}
		return err
	})
}

// Events are all changes of the container's key, under whatever app it stood.
func (c *Container) Events() []Event {
	return slices.DeleteFunc(c.node.Events("status/"), func(e Event) bool { return !strings.HasSuffix(e.Key, "/"+c.ID) })
}

// States are the states that the witness has seen of the container, in order, each once in a row.
func (c *Container) States() []string {
	var states []string
	for _, e := range c.Events() {
		state := Gone
		if !e.Deleted() {
			state = e.Status(c.t).State
		}
		if len(states) == 0 || states[len(states)-1] != state {
			states = append(states, state)
		}
	}
	return states
}

// Course is States without each starting that goes before healthy: a container that serves at once may pass while the
// agent still writes something else, and then only the newest word is written.
func (c *Container) Course() []string {
	states := c.States()
	var course []string
	for i, state := range states {
		if state == "starting" && i+1 < len(states) && states[i+1] == "healthy" {
			continue
		}
		course = append(course, state)
	}
	return course
}

// Await returns once etcd shows the state, with what stands there.
func (c *Container) Await(state string) Status {
	c.t.Helper()
	return c.AwaitStatus("state "+state, func(s Status) bool { return s.State == state })
}

// AwaitStatus returns once what etcd shows of the container is ok. A container that is gone has state Gone.
func (c *Container) AwaitStatus(what string, ok func(Status) bool) Status {
	c.t.Helper()
	var last Status
	c.node.Await(c.t, fmt.Sprintf("%s of %s", what, c.Name), func() bool {
		events := c.Events()
		if len(events) == 0 {
			return false
		}
		last = Status{State: Gone}
		if e := events[len(events)-1]; !e.Deleted() {
			last = e.Status(c.t)
		}
		return ok(last)
	}, func() string {
		if events := c.Events(); len(events) > 0 {
			return fmt.Sprintf("states %v, last %s", c.States(), events[len(events)-1].Value)
		}
		return "nothing"
	})
	return last
}

// AwaitGone returns once the container's key is deleted.
func (c *Container) AwaitGone() {
	c.t.Helper()
	c.Await(Gone)
}

// Key is where the container's status stands, without the prefix; "" if nowhere.
func (c *Container) Key() string {
	events := c.Events()
	if len(events) == 0 || events[len(events)-1].Deleted() {
		return ""
	}
	return events[len(events)-1].Key
}
