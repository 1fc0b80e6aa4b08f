package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/projecteru2/eru-agent/cmd"
)

// options are the flags of every subcommand.
type options struct{ dir, etcd, docker string }

// node is an etcd in this process and an agent beside it.
type node struct {
	etcd  *embed.Etcd
	agent *child
}

// startWithin bounds how long etcd may take to answer.
const startWithin = 30 * time.Second

// startNode starts both; ctx ends the agent, and stop waits for its end.
func startNode(ctx context.Context, o options) (*node, error) {
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return nil, fmt.Errorf("making a place for data: %w", err)
	}
	n := &node{}
	var err error
	if n.etcd, err = startEtcd(o); err != nil {
		return nil, err
	}
	if n.agent, err = startSelf(ctx, o.dir, "agent", "run", "--etcd.endpoints", o.etcd, "--docker.endpoint", o.docker); err != nil {
		n.etcd.Close()
		return nil, err
	}
	return n, nil
}

func startEtcd(o options) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(o.dir, "etcd")
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{filepath.Join(o.dir, "etcd.log")}
	here := url.URL{Scheme: "http", Host: o.etcd}
	nowhere := url.URL{Scheme: "unix", Host: "eru-agent-dev", Path: "/peer"} // one member has no peers
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{here}, []url.URL{here}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{nowhere}, []url.URL{nowhere}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "1h"
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting etcd at %q with data in %q: %w; is another one running there?", o.etcd, cfg.Dir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case <-time.After(startWithin):
		etcd.Close()
		return nil, fmt.Errorf("starting etcd at %q: not ready within %s; see %s", o.etcd, startWithin, cfg.LogOutputs[0])
	}
}

// stop ends both and waits for them; an agent that does not end well is an
// error.
func (n *node) stop() error {
	err := n.agent.stop()
	n.etcd.Close()
	return err
}

// run shows the live table until ctx ends or the agent does.
func run(ctx context.Context, o options) error {
	n, err := startNode(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("etcd:  http://%s, its data and log in %s\n", o.etcd, o.dir)
	fmt.Printf("agent: http://127.0.0.1:12345/, its log is %s\n", n.agent.log)
	fmt.Printf("other terminals: export ERU_AGENT_ETCD_ENDPOINTS=%s, and bin/eru-agent finds this etcd\n\n", o.etcd)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		cmd.Main(watching, []string{"status", "-w", "--etcd.endpoints", o.etcd}, os.Stdout, &bytes.Buffer{})
	}()
	select {
	case <-n.agent.ended:
		cancel()
		<-shown
		n.etcd.Close()
		if n.agent.err == nil || ctx.Err() != nil {
			return nil
		}
		return n.agent.failed()
	case <-shown:
		err := n.stop()
		if ctx.Err() == nil {
			return errors.Join(errors.New("the status table ended"), err)
		}
		fmt.Printf("ended; containers run on, and etcd's data stays in %s\n", o.dir)
		return err
	}
}
