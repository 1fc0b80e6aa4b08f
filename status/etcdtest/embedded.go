package etcdtest

import (
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// embedded is a server in this process.
type embedded struct{ etcd *embed.Etcd }

func (m *embedded) start(p place, o options) error {
	cfg := embed.NewConfig()
	cfg.Name = memberName
	cfg.Dir = p.dir
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.UnsafeNoFsync = true
	cfg.BcryptCost = bcryptCost
	client, peer := &url.URL{Scheme: "http", Host: p.client}, &url.URL{Scheme: "http", Host: p.peer}
	if a := o.authority; a != nil {
		client.Scheme = "https"
		cfg.ClientTLSInfo = transport.TLSInfo{CertFile: p.cert, KeyFile: p.key, TrustedCAFile: a.CAFile(), ClientCertAuth: true}
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(memberName)
	if o.tokenTTL > 0 {
		cfg.AuthTokenTTL = uint(o.tokenTTL / time.Second)
	}
	e, err := embed.StartEtcd(cfg)
	for late := time.Now().Add(patience); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(late); {
		<-time.After(20 * time.Millisecond) // one that has just ended may not have closed all its ports
		e, err = embed.StartEtcd(cfg)
	}
	if err != nil {
		return err
	}
	m.etcd = e
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case err := <-e.Err():
		e.Close()
		return err
	case <-time.After(patience):
		e.Close()
		return fmt.Errorf("no leader within %s", patience)
	}
}

func (m *embedded) stop() { m.etcd.Close() }
