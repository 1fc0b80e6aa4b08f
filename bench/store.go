package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
)

// Nodes that write at once, and what each of them has.
const (
	storeNodes      = 100
	storeContainers = 100
	storeValue      = 600 // bytes, about as long as a status
)

// load is one of the three things that agents do to etcd. prepare gives a node
// its state; each call of what it returns is one operation.
type load struct {
	what    string
	prepare func(ctx context.Context, c *clientv3.Client, node string) (func(context.Context) error, error)
}

func (b *bench) stores() []step {
	var steps []step
	for _, l := range []load{
		{"fenced writes of one status", fencedWrite},
		{fmt.Sprintf("audits of %d keys", storeContainers), audit},
		{"lease renewals", renewal},
	} {
		steps = append(steps, step{
			What: fmt.Sprintf("what etcd carries: %s by %d nodes", l.what, storeNodes), Takes: b.span + b.settle,
			Do: func(ctx context.Context) error { return b.store(ctx, l) },
		})
	}
	return steps
}

// store lets all nodes do it as fast as etcd answers.
func (b *bench) store(ctx context.Context, l load) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	etcd := b.stage.Etcd
	var done atomic.Int64
	var nodes sync.WaitGroup
	failed := make(chan error, storeNodes)
	for i := range storeNodes {
		op, err := l.prepare(ctx, etcd.Client, fmt.Sprintf("/store/n%d", i))
		if err != nil {
			return err
		}
		nodes.Go(func() {
			for ctx.Err() == nil {
				if err := op(ctx); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	defer nodes.Wait()
	defer cancel()
	if err := kernel.Sleep(ctx, b.settle); err != nil {
		return err
	}
	began, before := kernel.Now(), done.Load()
	cpu, err := kernel.CPU(etcd.Pid())
	if err != nil {
		return err
	}
	if err := kernel.Sleep(ctx, b.span); err != nil {
		return err
	}
	used, err := kernel.CPU(etcd.Pid())
	if err != nil {
		return err
	}
	n, took := float64(done.Load()-before), kernel.Now()-began
	select {
	case err := <-failed:
		return err
	default:
	}
	if n == 0 {
		return errors.New("etcd answered nothing")
	}
	what := fmt.Sprintf("%s by %d nodes at once", l.what, storeNodes)
	b.add(report.Figure{Group: "etcd", What: what + ", a second", Ours: []float64{n / took.Seconds()}})
	b.add(report.Figure{Group: "etcd", What: what + ": etcd's CPU for each", Unit: "us", Ours: []float64{float64((used - cpu).Microseconds()) / n}})
	return nil
}

// fencedWrite is what an agent does when a container's status changes.
func fencedWrite(ctx context.Context, c *clientv3.Client, node string) (func(context.Context) error, error) {
	resp, err := c.Put(ctx, node, "owner")
	if err != nil {
		return nil, err
	}
	rev, value, n := resp.Header.Revision, strings.Repeat("x", storeValue), 0
	return func(ctx context.Context) error {
		n++
		resp, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(node), "=", rev)).
			Then(clientv3.OpPut(node, "owner"), clientv3.OpPut(fmt.Sprint(node, "/", n%storeContainers), value)).Commit()
		if err == nil && !resp.Succeeded {
			err = errors.New("somebody else wrote the owner's record")
		}
		if err == nil {
			rev = resp.Header.Revision
		}
		return err
	}, nil
}

// audit is what an agent does every minute.
func audit(ctx context.Context, c *clientv3.Client, node string) (func(context.Context) error, error) {
	var puts []clientv3.Op
	for i := range storeContainers {
		puts = append(puts, clientv3.OpPut(fmt.Sprint(node, "/audited/", i), "x"))
	}
	resp, err := c.Txn(ctx).Then(puts...).Commit()
	if err != nil {
		return nil, err
	}
	var conditions []clientv3.Cmp
	for _, p := range puts {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(string(p.KeyBytes())), "=", resp.Header.Revision))
	}
	return func(ctx context.Context) error {
		_, err := c.Txn(ctx).If(conditions...).Else(clientv3.OpGet(node)).Commit()
		return err
	}, nil
}

// renewal is what an agent does three times in a session's time to live.
func renewal(ctx context.Context, c *clientv3.Client, _ string) (func(context.Context) error, error) {
	lease, err := c.Grant(ctx, 60)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := c.KeepAliveOnce(ctx, lease.ID)
		return err
	}, nil
}
