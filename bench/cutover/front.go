package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/e2e/proxy"
)

// front is a proxy in front of a fleet.
type front struct {
	of   string // what the table calls it
	ask  func(context.Context) load.Answer
	ends []func()

	// Of HAProxy alone.
	haproxy *proxy.HAProxy
	process *stage.Logged
	lb      *balancer // nil without eru-lb
}

// balancer is eru-lb under way.
type balancer struct {
	*stage.Logged
	start   func() (*stage.Logged, error)
	metrics string // host:port
}

func (fr *front) end() {
	for i := len(fr.ends) - 1; i >= 0; i-- {
		fr.ends[i]()
	}
}

func (fr *front) onEnd(do func()) { fr.ends = append(fr.ends, do) }

// place is where the next proxy of this run lives.
func (f *fleet) place(name string) (proxy.Place, error) {
	p := proxy.Place{Root: f.root, Listen: f.stage.Host() + ":8000", Etcd: f.stage.Etcd.Endpoint, Prefix: f.node.Prefix}
	var err error
	p.Dir, err = f.stage.Dir(fmt.Sprintf("%s-%s", name, f.node.Name))
	if err == nil {
		p.Root, err = filepath.Abs(f.root)
	}
	return p, err
}

// opener puts a proxy in front of a fleet.
type opener func(context.Context, *fleet) (*front, error)

// openHAProxy is HAProxy with eru-lb.
func (b *bench) openHAProxy(of string) opener {
	return func(ctx context.Context, f *fleet) (*front, error) {
		p, err := f.place("haproxy")
		if err != nil {
			return nil, err
		}
		return f.drive(ctx, of, p, p.NewHAProxy(), "shop/web:"+portHTTP)
	}
}

// drive runs HAProxy with eru-lb and returns once every container serves.
func (f *fleet) drive(ctx context.Context, of string, p proxy.Place, h *proxy.HAProxy, services string) (*front, error) {
	fr := &front{of: of, haproxy: h}
	err := fr.begin(f.stage, f.node.Name, p)
	if err == nil {
		b := proxy.Balancer{Binary: f.stage.Program("eru-lb"), Metrics: f.stage.Host() + ":12346"}
		fr.lb = &balancer{metrics: b.Metrics, start: func() (*stage.Logged, error) {
			return f.stage.Start("eru-lb-"+f.node.Name, b.HAProxy(p, h, services))
		}}
		fr.lb.Logged, err = fr.lb.start()
		fr.onEnd(func() { fr.lb.End() })
	}
	if err == nil {
		err = fr.lb.Explain(f.awaitServing(ctx, fr))
	}
	if err != nil {
		fr.end()
	}
	return fr, err
}

// openChecks is HAProxy with the same configuration but for its servers, which
// stand in it, and nobody tells it anything.
func (b *bench) openChecks(ctx context.Context, f *fleet) (*front, error) {
	return f.openStatic(ctx, ofChecks, proxy.Place.NewHAProxyOf)
}

// openPlain is that without the second line either.
func (b *bench) openPlain(ctx context.Context, f *fleet) (*front, error) {
	return f.openStatic(ctx, ofPlain, proxy.Place.NewHAProxyWithout)
}

func (f *fleet) openStatic(ctx context.Context, of string, lay func(proxy.Place, ...string) (*proxy.HAProxy, error)) (*front, error) {
	p, err := f.place("checks")
	if err != nil {
		return nil, err
	}
	backend := fmt.Sprintf("backend shop-web\n\tbalance roundrobin\n\tdefault-server check inter %dms fall 3 rise 1\n", 2*f.interval.Milliseconds())
	for _, m := range f.members {
		backend += fmt.Sprintf("\tserver %s %s\n", m.name(), m.address())
	}
	fr := &front{of: of}
	if fr.haproxy, err = lay(p, backend); err == nil {
		err = fr.begin(f.stage, f.node.Name, p)
	}
	if err == nil {
		err = fr.process.Explain(f.awaitServing(ctx, fr))
	}
	if err != nil {
		fr.end()
	}
	return fr, err
}

// begin starts HAProxy, and makes requests go to it.
func (fr *front) begin(s *stage.Stage, name string, p proxy.Place) error {
	client := load.NewHTTP("http://" + p.Listen + "/")
	fr.ask = client.Ask
	fr.onEnd(client.Close)
	var err error
	fr.process, err = s.Start("haproxy-"+name, fr.haproxy.Command())
	fr.onEnd(func() { _ = fr.process.Stop(syscall.SIGTERM) })
	return err
}

// awaitServing returns once requests reach every container.
func (f *fleet) awaitServing(ctx context.Context, fr *front) error {
	missing := map[string]bool{}
	for _, m := range f.members {
		missing[m.name()] = true
	}
	return stage.Within(ctx, func(ctx context.Context) error {
		var last load.Answer
		err := every(ctx, pollEvery, func() (bool, error) {
			last = fr.ask(ctx)
			delete(missing, last.By)
			return len(missing) == 0, nil
		})
		if err != nil {
			err = errors.Join(fmt.Errorf("waiting for %s to serve: %w: %d of %d containers do not", fr.of, err, len(missing), len(f.members)), last.Failed)
		}
		return err
	})
}

// openNginx is nginx, which confd makes reload.
func (b *bench) openNginx(ctx context.Context, f *fleet) (*front, error) {
	p, err := f.place("nginx")
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(b.stage.Program("confd"))
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return nil, fmt.Errorf("finding confd (`make bench-cutover` builds it): %w", err)
	}
	n, err := p.NewNginx(binary)
	if err == nil {
		err = n.Once(ctx)
	}
	if err != nil {
		return nil, err
	}
	client := load.NewHTTP("http://" + p.Listen + "/")
	fr := &front{of: ofNginx, ask: client.Ask}
	fr.onEnd(client.Close)
	if fr.process, err = f.stage.Start("nginx-"+f.node.Name, n.Command()); err == nil {
		fr.onEnd(func() { _ = fr.process.Stop(syscall.SIGTERM) })
		var confd *stage.Logged
		if confd, err = f.stage.Start("confd-"+f.node.Name, n.Watch()); err == nil {
			fr.onEnd(confd.End)
			err = fr.process.Explain(f.awaitServing(ctx, fr))
		}
	}
	if err != nil {
		fr.end()
	}
	return fr, err
}

// openXDS is a gRPC client that follows eru-lb xds.
func (b *bench) openXDS(ctx context.Context, f *fleet) (*front, error) {
	p, err := f.place("xds")
	if err != nil {
		return nil, err
	}
	fr := &front{of: ofXDS}
	lb := proxy.Balancer{Binary: f.stage.Program("eru-lb"), Metrics: f.stage.Host() + ":12346"}
	fr.lb = &balancer{metrics: lb.Metrics}
	if fr.lb.Logged, err = f.stage.Start("eru-lb-"+f.node.Name, lb.XDS(p, "shop/web:"+portGRPC)); err != nil {
		return nil, err
	}
	fr.onEnd(fr.lb.End)
	client, err := load.NewXDS(p.Listen, load.Insecure, "shop-web")
	if err == nil {
		fr.ask = client.Ask
		fr.onEnd(client.Close)
		err = fr.lb.Explain(f.awaitServing(ctx, fr))
	}
	if err != nil {
		fr.end()
	}
	return fr, err
}

// metric reads one of eru-lb's, with all its labels as they are printed.
func (l *balancer) metric(ctx context.Context, series string) (string, error) {
	text, err := stage.Get(ctx, "http://"+l.metrics+"/metrics")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), series+" "); found {
			return value, nil
		}
	}
	return "", fmt.Errorf("reading metrics: there is no %s", series)
}
