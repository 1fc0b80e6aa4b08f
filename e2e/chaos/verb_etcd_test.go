package chaos

import (
	"context"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

func etcdVerbs() map[string]verb {
	return map[string]verb{
		"way":          {4, false, []string{"hold", "mute", "cut"}, (*world).breakWay},
		"resume":       {3, false, nil, (*world).resume},
		"restart-etcd": {1, false, nil, (*world).restartEtcd},
		"stop-etcd":    {1, false, nil, (*world).stopEtcd},
		"freeze-etcd":  {1, false, nil, (*world).freezeEtcd},
		"start-etcd":   {2, false, nil, (*world).startEtcd},
		"revoke":       {1, false, nil, (*world).revoke},
		"forge":        {2, true, []string{"delete", "garbage", "healthy", "unhealthy", "stopped"}, (*world).forge},
	}
}

// breakWay breaks the way between the agents and etcd.
func (w *world) breakWay(s step) bool {
	map[string]func(){"hold": w.proxy.Hold, "mute": w.proxy.Mute, "cut": w.proxy.Cut}[s.arg]()
	w.broken = true
	return true
}

func (w *world) resume(step) bool {
	w.proxy.Resume()
	w.broken = false
	return true
}

// hangUp ends all connections of a server that is about to stop. One that is in this process would wait for those on which
// nothing comes.
func (w *world) hangUp() {
	w.proxy.Cut()
	if !w.broken {
		w.proxy.Resume()
	}
}

func (w *world) restartEtcd(step) bool {
	if w.frozen || w.down {
		return false
	}
	w.hangUp()
	w.etcd.Restart()
	return true
}

func (w *world) stopEtcd(step) bool {
	if w.frozen || w.down {
		return false
	}
	w.hangUp()
	w.etcd.Stop()
	w.down = true
	return true
}

// freezeEtcd stops a server that is a process where it stands; what is in this process cannot be stopped, and its way is
// held instead.
func (w *world) freezeEtcd(step) bool {
	switch {
	case w.frozen || w.down:
		return false
	case w.process:
		w.etcd.Freeze()
		w.frozen = true
	default:
		w.breakWay(step{arg: "hold"})
	}
	return true
}

// startEtcd ends stopping and freezing.
func (w *world) startEtcd(step) bool {
	switch {
	case w.frozen:
		w.etcd.Thaw()
		w.frozen = false
	case w.down:
		w.etcd.Restart()
		w.down = false
	default:
		return false
	}
	return true
}

func (w *world) mendEtcd() {
	w.startEtcd(step{})
	w.resume(step{})
}

// revoke ends the node's session under the agent.
func (w *world) revoke(step) bool {
	e, ok := w.current["status:node/"+w.node.Name]
	if !ok || w.frozen || w.down {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
	defer cancel()
	_, _ = w.node.Client().Revoke(ctx, clientv3.LeaseID(e.Lease)) // it may have ended
	return true
}

// forge writes a container's key behind the agent's back.
func (w *world) forge(s step) bool {
	b, c := w.box(s.slot)
	if b == nil || w.frozen || w.down || !b.kind.ours {
		return false
	}
	key := w.key(b, b.kind.service(c.Name))
	e, ok := w.current[key]
	value := lie(string(e.Value), s.arg)
	if !ok || value == string(e.Value) && s.arg != "delete" {
		return false
	}
	b.tampered, w.marred = true, true
	for of := range w.lives {
		if of.id == b.id {
			w.lives[of].tampered = true
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
	defer cancel()
	op := clientv3.OpPut(w.node.Prefix+"/"+key, value)
	if s.arg == "delete" {
		op = clientv3.OpDelete(w.node.Prefix + "/" + key)
	}
	resp, err := w.node.Client().Txn(ctx).Then(op).Commit()
	if err != nil {
		w.t.Fatalf("writing behind the agent's back: %v", err)
	}
	w.foreign[resp.Header.Revision] = true
	return true
}

// lie is a value with another state.
func lie(value, state string) string {
	if state == "garbage" {
		return "{not JSON"
	}
	for _, was := range []string{"starting", "healthy", "unhealthy", "draining", "paused", "stopped", "invalid"} {
		value = strings.ReplaceAll(value, fmt.Sprintf(`"state":%q`, was), fmt.Sprintf(`"state":%q`, state))
	}
	value = strings.ReplaceAll(value, `"healthy":true`, `"healthy":false`)
	if state == "healthy" {
		value = strings.ReplaceAll(value, `"healthy":false`, `"healthy":true`)
	}
	return value
}
