package watcher

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// minAPI is the oldest API that is spoken: Docker 20.10.
const minAPI = "1.41"

// Bounds of one request to Docker; what failed is asked again. Inspect waits
// for the container's lock (up to 30 s), but nobody waits for inspect.
const (
	pingTimeout    = 2 * time.Second
	inspectTimeout = 2 * time.Second
	listTimeout    = 5 * time.Second
)

// Config says how Docker is reached and which containers are ours.
type Config struct {
	Endpoint string // "unix:///var/run/docker.sock" or "tcp://host:port"
	TLS      TLS
	// Select replaces the rule of which containers are ours, if not nil.
	Select []string
}

// TLS names files in PEM; empty for plain text.
type TLS struct{ CA, Cert, Key string }

// docker is the connection of the day: it is made anew with each
// subscription, so that the API version is negotiated again with a daemon that
// came back as another version.
type docker struct {
	cfg Config

	mu     sync.Mutex
	cli    *client.Client
	dialed error // why the last connection was not made, nil if it was
}

func (d *docker) current() (*client.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cli == nil {
		return nil, fmt.Errorf("asking Docker at %q: not connected", d.cfg.Endpoint)
	}
	return d.cli, nil
}

// connect makes a new connection and agrees on an API version.
func (d *docker) connect(ctx context.Context) (*client.Client, error) {
	opts := []client.Opt{client.WithHost(d.cfg.Endpoint), client.WithAPIVersionNegotiation(), client.WithUserAgent("eru-agent")}
	if path, ok := strings.CutPrefix(d.cfg.Endpoint, "unix://"); ok {
		opts = append(opts, client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx, path) }))
	}
	if t := d.cfg.TLS; t != (TLS{}) {
		opts = append(opts, client.WithTLSClientConfig(t.CA, t.Cert, t.Key))
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to Docker at %q: %w", d.cfg.Endpoint, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ping, err := cli.Ping(ctx)
	if err != nil {
		_ = cli.Close()
		return nil, fmt.Errorf("connecting to Docker at %q: %w", d.cfg.Endpoint, d.explain(err))
	}
	cli.NegotiateAPIVersionPing(ping)
	if versions.LessThan(cli.ClientVersion(), minAPI) {
		_ = cli.Close()
		return nil, fmt.Errorf("connecting to Docker at %q: its API is %s, want %s (Docker 20.10) or newer", d.cfg.Endpoint, ping.APIVersion, minAPI)
	}
	d.swap(cli)
	return cli, nil
}

func (d *docker) dial(ctx context.Context, path string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialed = err
	return conn, err
}

// explain adds why there is no connection. The client asks only whether Docker
// runs, also where this process has no descriptor left.
func (d *docker) explain(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dialed == nil || !client.IsErrConnectionFailed(err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, d.dialed)
}

func (d *docker) swap(cli *client.Client) {
	d.mu.Lock()
	old := d.cli
	d.cli = cli
	d.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}
