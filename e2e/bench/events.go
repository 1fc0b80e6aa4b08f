package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// dockerEvents is Docker's own account of when things happened.
type dockerEvents struct {
	lines chan string
	stop  func()
}

func (s *stage) dockerEvents(ctx context.Context) (*dockerEvents, error) {
	ctx, cancel := context.WithCancel(ctx)
	// since a second ago: the command may take a while to subscribe.
	c := exec.CommandContext(ctx, "docker", "events", "--since", "1s", "--filter", "label="+label, "--format", "{{.Action}} {{.ID}} {{.TimeNano}}")
	out, err := c.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := c.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("docker events: %w", err)
	}
	e := &dockerEvents{lines: make(chan string, 100), stop: func() { cancel(); _ = c.Wait() }}
	go func() {
		defer close(e.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			e.lines <- scan.Text()
		}
	}()
	return e, nil
}

// await returns when Docker says that an action happened to a container.
func (e *dockerEvents) await(action, id string) (time.Time, error) {
	late := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-e.lines:
			if !ok {
				return time.Time{}, errors.New("docker events ended")
			}
			words := strings.Fields(line)
			if len(words) == 3 && words[0] == action && words[1] == id {
				nano, err := strconv.ParseInt(words[2], 10, 64)
				return time.Unix(0, nano), err
			}
		case <-late:
			return time.Time{}, fmt.Errorf("docker told no %s of %.12s within 20 s", action, id)
		}
	}
}
