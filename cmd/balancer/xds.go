package balancer

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/settings"
	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/xds"
)

// xdsConfig are the keys of eru-lb xds alone.
type xdsConfig struct {
	addr       string
	tls        xds.TLS
	maxStreams int
}

func (x *xdsConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&x.addr, "xds.addr", xds.DefaultAddr, "`host:port` where Envoy and gRPC ask")
	f.StringVar(&x.tls.Cert, "xds.tls.cert", "", "`file` with the certificate that they are shown; plain text without one")
	f.StringVar(&x.tls.Key, "xds.tls.key", "", "`file` with the key of that certificate")
	f.StringVar(&x.tls.ClientCA, "xds.tls.client_ca", "", "`file` with the authority of their certificates; they need none without one")
	f.IntVar(&x.maxStreams, "xds.max_streams", xds.DefaultMaxStreams, "how many streams there may be at once; a client of ADS has one")
}

func xdsRules() []rule {
	return []rule{
		{Key: "xds.addr", Want: "host:port, as " + xds.DefaultAddr, OK: func(c *config) bool { return settings.ValidHostPort(c.xds.addr) }},
		{Key: "xds.tls.key", Want: "a key beside xds.tls.cert, and a certificate beside the key", Beside: "xds.tls.cert", OK: func(c *config) bool { return (c.xds.tls.Cert == "") == (c.xds.tls.Key == "") }},
		{Key: "xds.tls.client_ca", Want: "nothing, or xds.tls.cert and xds.tls.key beside it", OK: func(c *config) bool { return c.xds.tls.ClientCA == "" || c.xds.tls.Cert != "" }},
		{Key: "xds.max_streams", Want: "a whole number above 0", OK: func(c *config) bool { return c.xds.maxStreams > 0 }},
	}
}

// check reads the files that the keys name.
func (x *xdsConfig) check() error {
	if x.tls.Cert == "" {
		return nil
	}
	if _, err := x.tls.Certificate(); err != nil {
		return &settings.FileError{Key: "xds.tls.cert", Err: fmt.Errorf("reading it and xds.tls.key: %w", err)}
	}
	if _, err := x.tls.Authorities(); err != nil {
		return &settings.FileError{Key: "xds.tls.client_ca", Err: err}
	}
	return nil
}

func newXDS() *cobra.Command {
	return newFollow(proxy{kind: "xds", make: makeXDS},
		"Serve to Envoy and gRPC what etcd says, by xDS",
		`Serve to Envoy and gRPC what etcd says of the services, by xDS (EDS, and CDS, RDS
and LDS around it), until SIGTERM or SIGINT. Each service is a cluster of the
backend's name; a gRPC client reaches it as xds:///BACKEND. examples/envoy and
examples/grpc have configurations of clients. They keep what they have while eru-lb
is away.`)
}

func makeXDS(d *daemon) (outlet, error) {
	routes, err := lb.ParseRoutes(d.cfg.services)
	if err != nil {
		return outlet{}, err
	}
	x := d.cfg.xds
	if err := x.check(); err != nil {
		return outlet{}, err
	}
	o, err := xds.New(xds.Config{Routes: routes, Addr: x.addr, TLS: x.tls, MaxStreams: x.maxStreams}, d.log.Named("xds"))
	if err != nil {
		return outlet{}, fmt.Errorf("xds.addr: %w; is another eru-lb running here?", err)
	}
	d.registry.MustRegister(o)
	return outlet{Outlet: o, parts: []func(context.Context) error{o.Run}}, nil
}
