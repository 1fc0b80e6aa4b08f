package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/cmd/diagnosis"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

const (
	// explainWithin bounds all that is asked, and sideWithin each side.
	explainWithin = 15 * time.Second
	sideWithin    = 5 * time.Second
	// maxAnswer bounds what is read of the agent's answer, in bytes.
	maxAnswer = 4 << 20
)

// askAgent asks the agent of this node for its memory.
func askAgent(ctx context.Context, cfg *config, e *diagnosis.Evidence) {
	ctx, cancel := context.WithTimeout(ctx, sideWithin)
	defer cancel()
	code, body, err := askAPI(ctx, cfg.api.addr, "/explain?container="+url.QueryEscape(e.Word))
	switch {
	case err != nil:
		e.AgentTrouble = err.Error()
	case code == http.StatusOK:
		var c trail.Container
		if err := json.Unmarshal(body, &c); err != nil {
			e.AgentTrouble = fmt.Sprintf("reading the answer of the agent at %q: %s", cfg.api.addr, err)
			return
		}
		e.Agent, e.AgentHeard = &c, true
	case code == http.StatusNotFound, code == http.StatusConflict:
		e.AgentHeard, e.Ambiguous, e.AgentTrouble = true, code == http.StatusConflict, strings.TrimSpace(string(body))
	case code == http.StatusUnauthorized:
		guarded(e, cfg.api.addr, "wants a password", "--user NAME 'http://")
	case code == http.StatusBadRequest && strings.Contains(string(body), "HTTPS server"): // the words of net/http
		guarded(e, cfg.api.addr, "wants TLS", "--cacert FILE 'https://")
	default:
		e.AgentTrouble = fmt.Sprintf("the agent at %q answers %d: %s", cfg.api.addr, code, strings.TrimSpace(string(body)))
	}
}

// guarded notes that the agent is there, and how a person asks it.
func guarded(e *diagnosis.Evidence, addr, wants, curl string) {
	e.AgentHeard, e.AgentGuarded = true, true
	e.AgentTrouble = fmt.Sprintf("the agent's port %s (api.web_config), and explain has none; what it remembers is told to: curl %s%s/explain?container=%s'",
		wants, curl, addr, url.QueryEscape(e.Word))
}

func askAPI(ctx context.Context, addr, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and without a proxy
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the agent at %q: %w", addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

// askDocker asks Docker, and who listens in the container.
func askDocker(ctx context.Context, cfg *config, e *diagnosis.Evidence) {
	word := e.Word
	if e.Agent != nil && e.Agent.Removed.IsZero() {
		word = e.Agent.ID
	}
	ctx, cancel := context.WithTimeout(ctx, sideWithin)
	defer cancel()
	sight, err := watcher.Look(ctx, cfg.watcher(), word)
	if err != nil {
		e.DockerTrouble = err.Error()
		return
	}
	e.Docker = &sight
	if !sight.Running {
		return
	}
	if list, err := watcher.Listening(sight.Container.Pid); err == nil {
		e.Listening = append([]netip.AddrPort{}, list...)
	}
	if e.Agent != nil {
		e.Refused = refusedPorts(ctx, sight.Container.Addr, e.Agent.Facts.Publish)
	}
}

// refusedPorts are those that refuse a connection at addr. A TCP probe asks them,
// which no program sees.
func refusedPorts(ctx context.Context, addr netip.Addr, ports []uint16) []uint16 {
	var refused []uint16
	if !addr.IsValid() || len(ports) == 0 {
		return nil
	}
	for _, port := range ports {
		limits := healthcheck.Config{Interval: time.Second, Timeout: time.Second, MinInterval: time.Second}
		check, err := healthcheck.NewParser(limits).Parse(map[string]string{healthcheck.LabelPrefix + "tcp.ports": strconv.Itoa(int(port))})
		if err != nil {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		if v := check.Ask(bounded, healthcheck.Target{Addr: addr}, nil); v.Reason == healthcheck.ReasonRefused {
			refused = append(refused, port)
		}
		cancel()
	}
	return refused
}

// keyOf is where the container stands in etcd: as the agent says, else as it would.
func keyOf(cfg *config, e *diagnosis.Evidence) (status.Key, bool) {
	switch {
	case e.Agent != nil:
		return status.Key{App: e.Agent.App, Entrypoint: e.Agent.Entrypoint, Node: cfg.node, ID: e.Agent.ID}, true
	case e.Docker != nil && e.Docker.Exists:
		c := e.Docker.Container
		k, _ := agent.Identify(c.Labels, c.Name, cfg.node, c.ID)
		return k, true
	default:
		return status.Key{}, false
	}
}

// askEtcd reads what stands of the container, and lets a View judge it as a proxy
// would.
func askEtcd(ctx context.Context, cfg *config, e *diagnosis.Evidence) {
	key, ok := keyOf(cfg, e)
	if !ok {
		e.EtcdTrouble = "it is not known under which key it would stand"
		return
	}
	store, err := cfg.etcd.Store(zap.NewNop())
	if err != nil {
		e.EtcdTrouble = err.Error()
		return
	}
	defer func() { _ = store.Close() }()
	ctx, cancel := context.WithTimeout(ctx, sideWithin)
	defer cancel()
	entry := diagnosis.Entry{Key: key, Use: "none"}
	if err := see(ctx, store, &entry); err != nil {
		e.EtcdTrouble = err.Error()
		return
	}
	if drains, err := store.Drains(ctx); err == nil { // a role may cover the statuses alone
		own, ok := drains.Wishes[status.DrainKey{Node: key.Node, ID: key.ID}]
		whole, all := drains.Wishes[status.DrainKey{Node: key.Node, ID: status.WholeNode}]
		switch {
		case ok:
			entry.Wish = &own
		case all:
			entry.Wish, entry.Whole = &whole, true
		}
	}
	e.Etcd = &entry
}

// see follows the container's service until it is known.
func see(ctx context.Context, store *status.Store, entry *diagnosis.Entry) error {
	ctx, cancel := context.WithCancel(ctx)
	view := status.NewView(store, status.ViewConfig{Scope: status.Scope{App: entry.Key.App, Entrypoint: entry.Key.Entrypoint}}, zap.NewNop())
	done := make(chan struct{})
	go func() { defer close(done); _ = view.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for !view.State().Synced {
		select {
		case <-view.Changed():
		case <-ctx.Done():
			if err := view.State().Lost; err != nil {
				return err
			}
			return fmt.Errorf("reading from etcd: no answer in time: %w", ctx.Err())
		}
	}
	service := view.Service(entry.Key.App, entry.Key.Entrypoint)
	if service == nil {
		return nil
	}
	entry.Panic = service.Panic
	for _, s := range service.Servers {
		if s.Key == entry.Key {
			entry.Exists, entry.Revision, entry.Status, entry.Silent = true, s.Revision, s.Status, s.Silent
			entry.Use = map[status.Use]string{status.UseNone: "none", status.UseDrain: "drain", status.UseReady: "ready"}[s.Use]
		}
	}
	return nil
}
