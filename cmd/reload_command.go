package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/selfmon"
	"github.com/projecteru2/eru-agent/status"
)

func newReload() *cobra.Command {
	l := newLoader()
	r := &reloadRequest{client: &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{}}}
	c := &cobra.Command{
		Use: "reload", Short: "Have the running agent read its configuration again",
		Long: `Check the configuration file as check-config would, and if it is well send SIGHUP
to the agent that runs on this machine, wait for what comes of it, and print that.
The agent is found at api.addr, and is signalled only if it is one. Where that port
asks for TLS or a password, give --pid: then what comes of it is in the agent's log.

Taken at once are all of healthcheck.* and log.level; what else has changed is named,
and waits for a restart. A file that is wrong changes nothing.

Exit codes: 0 it was read, 1 it was not, or no agent was found, 2 the file is wrong
and nothing was sent.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := l.load(os.Environ())
			if err != nil {
				return err
			}
			if err := l.Placed(cfg.checkFiles()); err != nil {
				return err
			}
			r.addr, r.file, r.guarded = cfg.api.addr, l.Path(), cfg.api.webConfig != ""
			return r.run(c)
		},
	}
	c.Flags().IntVar(&r.pid, "pid", 0, "`PID` of the agent; 0 asks at api.addr")
	c.Flags().DurationVar(&r.timeout, "timeout", 10*time.Second, "how long to wait for what comes of it")
	l.AddTo(c.Flags(), "api.addr")
	return c
}

// reloadRequest asks one agent to read its configuration again.
type reloadRequest struct {
	client  *http.Client
	addr    string
	file    string // that was checked
	guarded bool   // the port wants TLS or a password
	pid     int
	timeout time.Duration
}

// face is what the agent's /status says of itself.
type face struct {
	Node     status.Node     `json:"node"`
	Process  selfmon.Process `json:"process"`
	Reloaded *selfmon.Reload `json:"reloaded"`
}

func (r *reloadRequest) run(c *cobra.Command) error {
	if r.guarded {
		return r.blind(c)
	}
	found, err := r.find(c.Context())
	if err != nil {
		return err
	}
	p, err := r.open(c.Context(), found)
	if err != nil {
		return err
	}
	defer p.close()
	sent := time.Now()
	if err := p.signal(unix.SIGHUP); err != nil {
		return err
	}
	did, err := r.await(c.Context(), found.Node.Agent.Instance, sent)
	if err != nil {
		return err
	}
	return printReload(c, did)
}

// blind signals an agent that cannot be asked.
func (r *reloadRequest) blind(c *cobra.Command) error {
	if r.pid == 0 {
		return cli.Usage(errors.New("api.web_config guards the agent's port: say which process it is with --pid"))
	}
	p, err := openProcess(r.pid)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.signal(unix.SIGHUP); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(c.OutOrStdout(), "the file is well and SIGHUP was sent; what came of it is in the agent's log")
	return nil
}

// find asks who answers at the agent's address, and fails unless it can be
// signalled from here.
func (r *reloadRequest) find(ctx context.Context) (face, error) {
	f, err := r.ask(ctx)
	switch {
	case err != nil:
		return f, fmt.Errorf("%w; no agent was signalled. If the one that runs has another api.addr, say --api.addr", err)
	case f.Node.Agent.Machine != cli.Machine() || f.Process.Namespace != namespace():
		return f, fmt.Errorf("the agent at %s runs on machine %q in %q, this is %q in %q: its process cannot be signalled from here",
			r.addr, f.Node.Agent.Machine, f.Process.Namespace, cli.Machine(), namespace())
	case r.pid != 0 && r.pid != f.Process.PID:
		return f, fmt.Errorf("the agent at %s is process %d, not %d: nothing was sent", r.addr, f.Process.PID, r.pid)
	case f.Process.Config != r.file:
		return f, cli.Usage(fmt.Errorf("the agent at %s reads %q, and %q was checked: say --config %s", r.addr, f.Process.Config, r.file, f.Process.Config))
	}
	return f, nil
}

// open opens the process that found speaks of. That the same instance answers
// once more, afterwards, shows that the PID was not another's by then.
func (r *reloadRequest) open(ctx context.Context, found face) (*process, error) {
	p, err := openProcess(found.Process.PID)
	if err != nil {
		return nil, err
	}
	again, err := r.ask(ctx)
	if err == nil && again.Node.Agent.Instance != found.Node.Agent.Instance {
		err = fmt.Errorf("another agent answers at %s than a moment ago: nothing was sent", r.addr)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// await returns what came of a signal that was sent at that time. A reload that
// had begun before may not have seen the file.
func (r *reloadRequest) await(ctx context.Context, instance string, sent time.Time) (*selfmon.Reload, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := r.ask(ctx)
		switch {
		case err == nil && f.Node.Agent.Instance != instance:
			return nil, errors.New("the agent was restarted meanwhile: it has read the file then")
		case err == nil && f.Reloaded != nil && !f.Reloaded.At.Before(sent):
			return f.Reloaded, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for what comes of it: SIGHUP was sent, and the agent has not said within %s: see its log", r.timeout)
		case <-tick.C:
		}
	}
}

// mostStatus bounds what is read of an answer: 10,000 containers have 10 MB.
const mostStatus = 64 << 20

// ask reads /status.
func (r *reloadRequest) ask(ctx context.Context) (face, error) {
	var f face
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/status", nil)
	if err != nil {
		return f, fmt.Errorf("asking the agent at %q: %w", r.addr, err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return f, fmt.Errorf("asking the agent at %q: %w", r.addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return f, fmt.Errorf("asking the agent at %q: it answers %s", r.addr, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostStatus)).Decode(&f); err != nil || f.Process.PID <= 0 || f.Node.Agent.Instance == "" {
		return f, fmt.Errorf("asking the agent at %q: what answers is no eru-agent that can be reloaded by this command", r.addr)
	}
	return f, nil
}

// namespace is that in which PIDs count here.
func namespace() string {
	space, _ := os.Readlink("/proc/self/ns/pid")
	return space
}

func printReload(c *cobra.Command, r *selfmon.Reload) error {
	if r.Error != "" {
		return fmt.Errorf("the agent did not take it, and nothing was changed: %s", r.Error)
	}
	out := c.OutOrStdout()
	if len(r.Changed)+len(r.Refused) == 0 {
		_, _ = fmt.Fprintln(out, "read again; nothing has changed")
	}
	for _, line := range spelt(r.Changed) {
		_, _ = fmt.Fprintln(out, "taken    "+line)
	}
	for _, line := range spelt(r.Refused) {
		_, _ = fmt.Fprintln(out, "restart  "+line)
	}
	return nil
}
