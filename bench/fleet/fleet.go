package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/network"
)

const (
	members = 3
	prefix  = "/bench"
)

// fleet is everything that runs.
type fleet struct {
	options
	report   *report.Report
	progress io.Writer

	stage   *stage.Stage
	network *network.Network
	boards  string
	witness *stage.Witness // of statuses
	term    *stage.Witness // of who is elected

	alone   []*rack // the binary itself, the first to be elected before the other
	victims []*rack // of one node and of ten
	many    []*rack
}

// rack is some nodes on one host.
type rack struct {
	spec
	host    *network.Host
	process *stage.Process
	dead    bool // its containers are not expected to be healthy
	ended   bool // its agents do not run
}

func (f *fleet) add(figures ...report.Figure) {
	f.report.Figures = append(f.report.Figures, figures...)
}

// open makes the hosts, etcd and the racks' containers.
func (f *fleet) open(ctx context.Context) error {
	var err error
	if f.stage, err = stage.New(f.bin, "eru-agent", "etcd"); err != nil {
		return err
	}
	if f.boards, err = os.MkdirTemp("", "eru-agent-fleet-"); err != nil {
		return fmt.Errorf("making a place for files: %w", err)
	}
	if f.network, err = network.New(members + alone + 2 + f.racks); err != nil {
		return err
	}
	var hosts []stage.Host
	for _, h := range f.network.Hosts[:members] {
		hosts = append(hosts, place(h))
	}
	if err := f.stage.StartEtcd(ctx, hosts...); err != nil {
		return err
	}
	f.report.Etcd, f.report.Members = f.stage.Etcd.Version, members
	if f.witness, err = f.stage.Witness(ctx, prefix+"/status/"); err != nil {
		return err
	}
	if f.term, err = f.stage.Witness(ctx, prefix+"/selfmon/"); err != nil {
		return err
	}
	return f.install(ctx)
}

func place(h *network.Host) stage.Host { return stage.Host{Address: h.Address, Command: h.Command} }

// install divides the nodes among racks.
func (f *fleet) install(ctx context.Context) error {
	first, hosts := 0, f.network.Hosts[members:]
	rest := f.nodes - alone - one - ten
	sizes := []int{1, 1, one, ten}
	for i := range f.racks {
		sizes = append(sizes, (rest+i)/f.racks)
	}
	for i, n := range sizes {
		k := &rack{host: hosts[i], spec: spec{
			First: first, Nodes: n, Containers: f.containers, Host: i, Etcd: f.stage.Etcd.Endpoint, Prefix: prefix, TTL: f.ttl, Interval: f.interval,
			AtOnce: f.atOnce,
		}}
		first += n
		if err := k.host.Own(k.subnet()); err != nil {
			return err
		}
		file := filepath.Join(f.boards, fmt.Sprint(i))
		if _, err := board.Create(file); err != nil {
			return err
		}
		var err error
		if k.Port, err = f.stage.Targets(ctx, place(k.host), file); err != nil {
			return err
		}
		switch {
		case i < alone:
			f.alone = append(f.alone, k)
		case i < alone+2:
			f.victims = append(f.victims, k)
		default:
			f.many = append(f.many, k)
		}
	}
	return nil
}

// all are the racks.
func (f *fleet) all() []*rack {
	return append(append(append([]*rack{}, f.alone...), f.victims...), f.many...)
}

func (f *fleet) close() {
	for _, w := range []*stage.Witness{f.witness, f.term} {
		if w != nil {
			w.End()
		}
	}
	for _, k := range f.all() {
		if k.process != nil {
			k.process.End()
		}
	}
	if f.stage != nil {
		f.stage.Close()
	}
	if f.network != nil {
		if err := f.network.Close(); err != nil {
			_, _ = fmt.Fprintln(f.progress, "fleet: clearing away:", err)
		}
	}
	_ = os.RemoveAll(f.boards)
}

// start starts every node, the one that shall be elected before all others.
func (f *fleet) start(ctx context.Context) error {
	before, err := f.stage.Etcd.Traffic(ctx)
	if err != nil {
		return err
	}
	begun := kernel.Now()
	for i, k := range f.alone {
		if err := f.startAlone(k); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if err := stage.Within(ctx, func(ctx context.Context) error { return f.elected(ctx, k) }); err != nil {
			return err
		}
	}
	for _, k := range append(f.many, f.victims...) {
		// There is memory enough to collect it less often than the binary does.
		if k.process, err = f.stage.ChildOn(place(k.host), "rack", k.spec, "GOGC=200"); err != nil {
			return err
		}
	}
	starting, cancel := context.WithTimeout(ctx, stage.Patience+time.Duration(f.nodes)*time.Second)
	defer cancel()
	last, err := f.witness.AwaitMany(starting, 0, "healthy", f.nodes*f.containers)
	if err != nil {
		return err
	}
	after, err := f.stage.Etcd.Traffic(ctx)
	if err != nil {
		return err
	}
	t, took := after.Minus(before), last.At-begun
	on := fmt.Sprintf("start of %d nodes of %d containers, %d at once", f.nodes, f.containers, f.racks*f.atOnce)
	f.add(report.Figure{Group: "start", What: on + ": until all are healthy", Unit: "s", Ours: []float64{took.Seconds()}},
		report.Figure{Group: "start", What: on + ": keys written", Ours: []float64{t.Puts}},
		report.Figure{Group: "start", What: on + ": CPU of etcd's members for each container", Unit: "us", Ours: []float64{report.Microseconds(t.CPU) / float64(f.nodes*f.containers)}})
	return nil
}

// startAlone starts the binary on a rack of one node, whose Docker is here.
func (f *fleet) startAlone(k *rack) error {
	c := k.host.Command(filepath.Join(f.bin, "eru-agent"), k.command(0, k.engine(&tenant{}, 0).Endpoint())...)
	agent, err := f.stage.Start(nodeName(k.First), c)
	if err != nil {
		return err
	}
	k.process = agent.Process
	return nil
}

// elected returns once a node of a rack is the monitor.
func (f *fleet) elected(ctx context.Context, k *rack) error {
	return stage.Until(ctx, "node "+nodeName(k.First)+" to be elected", func() bool { return f.monitor(ctx) == k })
}

// monitor is the rack that the elected node is in; nil if none is.
func (f *fleet) monitor(ctx context.Context) *rack {
	resp, err := f.stage.Etcd.Client.Get(ctx, prefix+"/selfmon/active")
	if err != nil || len(resp.Kvs) == 0 {
		return nil
	}
	for _, k := range f.all() {
		for i := range k.Nodes {
			if strings.Contains(string(resp.Kvs[0].Value), `"`+nodeName(k.First+i)+`"`) {
				return k
			}
		}
	}
	return nil
}

// sessions is how many nodes have one.
func (f *fleet) sessions(ctx context.Context) (int64, error) {
	resp, err := f.stage.Etcd.Client.Get(ctx, prefix+"/status:node/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return resp.Count, nil
}

// kill ends a rack as a power cut does.
func (f *fleet) kill(k *rack) (time.Duration, error) {
	at := kernel.Now()
	k.dead, k.ended = true, true
	err := network.Off(k.host)
	k.process.End()
	return at, err
}

// wrongCuts counts the containers that answer and were said not to be healthy,
// in what the witness has seen since, and shows the first of them.
func (f *fleet) wrongCuts(group, on string, since int) report.Figure {
	alive := map[string]bool{}
	for _, k := range f.all() {
		for c := range k.Nodes * k.Containers {
			alive[stage.ContainerID(k.First*k.Containers+c)] = !k.dead
		}
	}
	wrong, first := 0.0, ""
	for _, s := range f.witness.Since(since) {
		if !alive[s.ID] || s.State == "healthy" || s.State == "starting" {
			continue
		}
		if wrong++; wrong == 1 {
			first = fmt.Sprintf("%s: %s, %s", s.ID, s.State, s.Reason)
		}
	}
	return report.Figure{Group: group, What: on + "wrong cuts", Ours: []float64{wrong}, Note: first}.AtMost(0)
}

// pause stops all members, or lets them go on.
func (f *fleet) pause(sig syscall.Signal) error {
	for _, m := range f.stage.Etcd.Members {
		if err := m.Signal(sig); err != nil {
			return fmt.Errorf("sending %s to etcd: %w", sig, err)
		}
	}
	return nil
}
