package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

const (
	demoImage = "eru-agent-demo"
	seenIn    = 15 * time.Second // bounds the wait for each step
)

func newDemo(o *options) *cobra.Command {
	var web, haproxy string
	c := &cobra.Command{
		Use: "demo", Short: "Break, heal, stop and kill containers, say when etcd shows it, and how many requests through a HAProxy failed", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return demo(c.Context(), *o, web, haproxy, c.OutOrStdout()) },
	}
	c.Flags().StringVar(&web, "web", "bin/web", "static `program` that the demonstration's image is made of")
	c.Flags().StringVar(&haproxy, "haproxy", "examples/haproxy/haproxy.cfg", "`file` with the configuration of HAProxy")
	return c
}

// play is a demonstration under way.
type play struct {
	out     io.Writer
	docker  docker
	changes chan seen
}

// seen is one change of etcd, and when it was seen.
type seen struct {
	name  string
	state string // "gone" when the key is deleted
	why   string
	at    time.Time
}

// demo makes the image, plays the script on a node of its own, and leaves the
// machine as it was.
func demo(ctx context.Context, o options, web, haproxy string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "eru-agent-demo-")
	if err != nil {
		return fmt.Errorf("making a place for the demonstration: %w", err)
	}
	o.dir = dir
	p := &play{out: out, docker: docker{host: o.docker, out: out}, changes: make(chan seen, 1024)}
	if err = p.docker.build(ctx, web, dir); err == nil {
		err = errors.Join(p.perform(ctx, o, haproxy), p.docker.cleanUp())
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// perform runs the node and follows etcd while the script is played.
func (p *play) perform(ctx context.Context, o options, haproxy string) error {
	n, err := startNode(ctx, o)
	if err != nil {
		return err
	}
	store := status.NewStore(status.Config{Endpoints: []string{o.etcd}, Prefix: "/eru", Timeout: 3 * time.Second}, zap.NewNop())
	defer func() { _ = store.Close() }()
	following, cancel := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() { defer close(followed); _ = store.Follow(following, p.see) }()
	if err = p.script(ctx); err == nil {
		err = p.cutover(ctx, o, haproxy)
	}
	cancel()
	<-followed
	return errors.Join(err, n.stop())
}

// see keeps what happens to the demonstration's containers.
func (p *play) see(c status.Change) {
	now := time.Now()
	switch {
	case c.Put != nil && c.Put.Key.App == "demo":
		p.changes <- seen{name: c.Put.Status.Name, state: string(c.Put.Status.State), why: c.Put.Status.Reason, at: now}
	case c.Deleted != nil && c.Deleted.App == "demo":
		p.changes <- seen{name: c.Deleted.ID, state: "gone", at: now}
	}
}

// script is what the audience sees.
func (p *play) script(ctx context.Context) error {
	one, two, three := "eru-demo-1", "eru-demo-2", "eru-demo-3"
	ids := map[string]string{}
	for _, name := range []string{one, two, three} {
		id, err := p.step(ctx, name, "healthy", func() (string, error) { return p.docker.start(ctx, name) })
		if err != nil {
			return err
		}
		ids[name] = id
	}
	steps := []struct {
		name, want string
		do         func() error
	}{
		{one, "unhealthy", func() error { return p.behave(ctx, one, "500") }},
		{one, "healthy", func() error { return p.behave(ctx, one, "ok") }},
		{two, "stopped", func() error { return p.docker.run(ctx, "stop", two) }},
		{three, "stopped", func() error { return p.docker.run(ctx, "kill", three) }},
	}
	for _, s := range steps {
		if _, err := p.step(ctx, s.name, s.want, func() (string, error) { return "", s.do() }); err != nil {
			return err
		}
	}
	for _, name := range []string{one, two, three} {
		if _, err := p.step(ctx, ids[name], "gone", func() (string, error) { return "", p.docker.run(ctx, "rm", "--force", name) }); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(p.out, "\nTimes are from the command's start, its own and Docker's work included.")
	return err
}

// step does something and shows what etcd does of the container, until it shows
// the state that is wanted. The states on the way there are not: one that is
// over at once may never be written, as only the newest is.
func (p *play) step(ctx context.Context, name, want string, do func() (string, error)) (string, error) {
	begun := time.Now()
	done := make(chan error, 1)
	var id string
	go func() {
		var err error
		id, err = do()
		done <- err
	}()
	late := time.After(seenIn)
	for shown := ""; shown != want; {
		select {
		case s := <-p.changes:
			if s.name != name {
				continue
			}
			shown = s.state
			line := fmt.Sprintf("  etcd shows %s after %.0f ms", s.state, float64(s.at.Sub(begun).Microseconds())/1000)
			if s.why != "" {
				line += " (" + s.why + ")"
			}
			_, _ = fmt.Fprintln(p.out, line)
		case <-late:
			err := fmt.Errorf("waiting for %q to become %s in etcd: not within %s; the last that etcd showed was %q", name, want, seenIn, shown)
			return "", errors.Join(err, <-done)
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), <-done)
		}
	}
	return id, <-done
}

// behave tells the web server in a container how to answer from now on.
func (p *play) behave(ctx context.Context, name, mode string) error {
	addr, err := p.docker.address(ctx, name)
	if err != nil {
		return err
	}
	target := "http://" + addr + ":8081/behave?mode=" + mode
	_, _ = fmt.Fprintf(p.out, "$ curl '%s'\n", target)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("telling %q to answer with %s: %w", name, mode, err)
	}
	return resp.Body.Close()
}
