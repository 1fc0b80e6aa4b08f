package xds_test

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// clusters asks for all clusters with the given settings.
func clusters(t *testing.T, o *outlet, cfg *tls.Config) error {
	t.Helper()
	s, err := connect(t, o, grpc.WithTransportCredentials(credentials.NewTLS(cfg))).StreamAggregatedResources(t.Context())
	if err == nil {
		err = s.Send(&discovery.DiscoveryRequest{TypeUrl: resource.ClusterType})
	}
	if err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

func TestTLS(t *testing.T) {
	ours, theirs := etcdtest.NewAuthority(t), etcdtest.NewAuthority(t)
	cfg := web()
	cfg.TLS.ClientCA = ours.CAFile()
	cfg.TLS.Cert, cfg.TLS.Key = ours.Issue("server", time.Now().Add(time.Hour))
	o := start(t, cfg)
	if err := clusters(t, o, ours.Client()); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	stranger := theirs.Client()
	stranger.RootCAs = ours.Client().RootCAs
	if err := clusters(t, o, stranger); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	if err := clusters(t, o, &tls.Config{RootCAs: ours.Client().RootCAs}); err == nil {
		t.Error("a client without a certificate was served")
	}

	// What was replaced is taken without a restart; what is broken turns away
	// who connects then, and is said.
	replace := func(file, by string) {
		b, err := os.ReadFile(by)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cert, key := theirs.Issue("server", time.Now().Add(time.Hour))
	replace(cfg.TLS.Cert, cert)
	if err := clusters(t, o, ours.Client()); err == nil || o.logs.FilterMessageSnippet("turned away").Len() == 0 {
		t.Errorf("a certificate without its key: %v", err)
	}
	replace(cfg.TLS.Key, key)
	replace(cfg.TLS.ClientCA, theirs.CAFile())
	if err := clusters(t, o, theirs.Client()); err != nil {
		t.Errorf("after the files were replaced: %v", err)
	}
}

func TestTLSFilesAreReadAtStart(t *testing.T) {
	a := etcdtest.NewAuthority(t)
	cfg := web()
	cfg.Addr = "127.0.0.1:0"
	cfg.TLS.Cert, cfg.TLS.Key = a.Issue("server", time.Now().Add(time.Hour))
	cfg.TLS.ClientCA = cfg.TLS.Key
	if _, err := xds.New(cfg, nil); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("a key as authority: %v", err)
	}
}
