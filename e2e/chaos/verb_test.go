package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// verbs are all that can happen, by name.
func verbs() map[string]verb {
	all := map[string]verb{"with": {args: []string{"kernel", "lag", "stale"}}}
	for _, part := range []map[string]verb{containerVerbs(), dockerVerbs(), agentVerbs(), etcdVerbs()} {
		for name, v := range part {
			all[name] = v
		}
	}
	return all
}

// order is that in which they are drawn: rapid shrinks towards the first.
func order() []string {
	names := []string{"wait"}
	for _, part := range []map[string]verb{containerVerbs(), dockerVerbs(), agentVerbs(), etcdVerbs()} {
		var more []string
		for name := range part {
			if name != "wait" {
				more = append(more, name)
			}
		}
		slices.Sort(more)
		names = append(names, more...)
	}
	return names
}

func containerVerbs() map[string]verb {
	var names []string
	for _, k := range kinds("") {
		names = append(names, k.name)
	}
	gaps := []string{"0", "30", "150"}
	networks := []string{"side", "bridge", "alpha", "zone"}
	return map[string]verb{
		"wait":       {6, false, []string{"0", "20", "100", "300", "700"}, (*world).wait},
		"run":        {5, true, names, (*world).run},
		"create":     {1, true, names, (*world).create},
		"start":      {4, true, nil, (*world).start},
		"behave":     {5, true, []string{"ok", "500", "404", "silent", "reset"}, (*world).behave},
		"ask":        {3, true, []string{"own", "TERM", "HUP"}, (*world).ask},
		"stop":       {2, true, gaps, (*world).stop},
		"die":        {3, true, gaps, (*world).die},
		"oom":        {1, true, gaps, (*world).oom},
		"kill":       {1, true, gaps, (*world).kill},
		"restart":    {2, true, gaps, (*world).restart},
		"remove":     {2, true, gaps, (*world).remove},
		"pause":      {2, true, nil, (*world).pause},
		"unpause":    {3, true, nil, (*world).unpause},
		"rename":     {2, true, []string{"app_web_1", "app_api_2", "plain.x-3"}, (*world).rename},
		"connect":    {1, true, networks, (*world).connect},
		"disconnect": {1, true, networks, (*world).disconnect},
		"move":       {1, true, nil, (*world).move},
	}
}

// wait lets time pass, which is the fault itself.
func (w *world) wait(s step) bool {
	if d := milliseconds(s.arg); d > 0 {
		<-time.After(d)
	}
	return true
}

func milliseconds(text string) time.Duration {
	n, _ := strconv.Atoi(text)
	return time.Duration(n) * time.Millisecond
}

// box is the container in a slot with its truth; nil if there is none.
func (w *world) box(slot string) (*box, dockertest.Container) {
	b := w.boxes[slot]
	if b == nil {
		return nil, dockertest.Container{}
	}
	c, _ := w.crowd.Container(b.id)
	return b, c
}

func (w *world) living(slot string) (*box, dockertest.Container) {
	b, c := w.box(slot)
	if b == nil || c.Pid == 0 {
		return nil, c
	}
	return b, c
}

// create puts a new container of a kind into a slot; one that is there goes first.
func (w *world) create(s step) bool {
	k := w.kinds[s.arg]
	var lender string
	if k.shares {
		of, _ := w.box("c0")
		if of == nil || s.slot == "c0" {
			return false
		}
		lender = of.id
	}
	w.remove(step{slot: s.slot})
	w.moves++
	b := &box{id: fmt.Sprintf("%012x%052x", w.moves, w.serial), slot: s.slot, kind: k, names: []string{s.slot}, lender: lender}
	w.boxes[s.slot], w.all[b.id] = b, b
	mode := k.mode
	if lender != "" {
		mode = "container:" + lender
	}
	w.crowd.Create(dockertest.Spec{
		ID: b.id, Name: s.slot, Labels: k.labels, NetworkMode: mode, Networks: k.networks, Ports: k.ports,
		StopSignal: k.signal, StopTimeout: 1, RestartPolicy: k.policy,
	})
	return true
}

func (w *world) run(s step) bool { return w.create(s) && w.start(s) }

// start begins a life of one that does not live.
func (w *world) start(s step) bool {
	b, c := w.box(s.slot)
	if b == nil || c.Pid != 0 {
		return false
	}
	w.embody(b)
	b.oom = false
	return w.crowd.Start(b.id)
}

// embody gives the next life a process of its own, where the kernel shall tell of its end.
func (w *world) embody(b *box) {
	if !w.with["kernel"] {
		return
	}
	process, err := newBody(w.t, b.id)
	if err != nil {
		w.t.Fatalf("making a process: %v", err)
	}
	b.body = process
	w.crowd.NextLife(b.id, dockertest.Life{Pid: process.pid()})
}

// ends says that a life is over, before anybody can know it, and ends its process, if it has one, some time before Docker
// tells.
func (w *world) ends(b *box, c dockertest.Container, gap string) {
	w.past(lifeOf(c)).dead = true
	if b.body != nil {
		b.body.kill()
		w.wait(step{arg: gap})
	}
}

func (w *world) asked(c dockertest.Container) { w.past(lifeOf(c)).asked = true }

// behave changes how it answers.
func (w *world) behave(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	address := w.facts(c).address()
	if address == "" {
		return false
	}
	w.answers[address] = s.arg
	w.crowd.Behave(address, s.arg)
	return true
}

// ask sends a signal that it may outlive: its own stop signal, as docker stop does, or one as docker kill does.
func (w *world) ask(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	if s.arg == "own" {
		w.asked(c)
		return w.crowd.BeginStop(b.id)
	}
	if s.arg == "TERM" {
		w.asked(c)
	}
	return w.crowd.Kill(b.id, s.arg)
}

// stop is docker stop of one that obeys.
func (w *world) stop(s step) bool {
	b, c := w.box(s.slot)
	if b == nil || c.Pid == 0 && c.Status != "restarting" {
		return false
	}
	if c.Pid != 0 {
		w.asked(c)
		w.ends(b, c, s.arg)
	}
	return w.crowd.Stop(b.id)
}

// die is the end of a process by itself; with a restart policy it is then between two lives.
func (w *world) die(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	w.ends(b, c, s.arg)
	return w.crowd.Die(b.id, 3)
}

func (w *world) oom(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	b.oom = true
	w.ends(b, c, s.arg)
	return w.crowd.OOM(b.id)
}

func (w *world) kill(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	w.asked(c)
	w.ends(b, c, s.arg)
	return w.crowd.Kill(b.id, "KILL")
}

// restart is docker restart of one that lives.
func (w *world) restart(s step) bool {
	b, c := w.living(s.slot)
	if b == nil {
		return false
	}
	w.asked(c)
	w.ends(b, c, s.arg)
	w.embody(b)
	b.oom = false
	return w.crowd.Restart(b.id)
}

// remove is docker rm --force.
func (w *world) remove(s step) bool {
	b, c := w.box(s.slot)
	if b == nil {
		return false
	}
	if c.Pid != 0 {
		w.asked(c)
		w.ends(b, c, s.arg)
	}
	delete(w.boxes, s.slot)
	return w.crowd.Remove(b.id)
}

func (w *world) pause(s step) bool {
	b, c := w.box(s.slot)
	if b == nil || c.Status != "running" {
		return false
	}
	w.past(lifeOf(c)).paused = true
	return w.crowd.Pause(b.id)
}

func (w *world) unpause(s step) bool {
	b, _ := w.box(s.slot)
	return b != nil && w.crowd.Unpause(b.id)
}

// rename gives a name that is its own, and for some kinds another identity.
func (w *world) rename(s step) bool {
	b, c := w.box(s.slot)
	name := s.arg + s.slot
	if b == nil || c.Name == name {
		return false
	}
	if !slices.Contains(b.names, name) {
		b.names = append(b.names, name)
	}
	return w.crowd.Rename(b.id, name)
}

// bridged says whether Docker would connect a container with more networks.
func (b *box) bridged() bool {
	return !b.kind.shares && !slices.Contains([]string{"host", "none"}, b.kind.mode)
}

func (w *world) connect(s step) bool {
	b, _ := w.box(s.slot)
	return b != nil && b.bridged() && w.crowd.Connect(b.id, s.arg, "")
}

func (w *world) disconnect(s step) bool {
	b, _ := w.box(s.slot)
	return b != nil && b.bridged() && w.crowd.Disconnect(b.id, s.arg)
}

// move gives it another address in its network, as a disconnect and a connect do.
func (w *world) move(s step) bool {
	b, c := w.box(s.slot)
	if b == nil || !b.bridged() {
		return false
	}
	name := b.kind.network()
	if _, there := c.Networks[name]; !there || strings.Contains(name, ":") {
		return false
	}
	w.moves++
	return w.crowd.Disconnect(b.id, name) && w.crowd.Connect(b.id, name, fmt.Sprintf("127.18.0.%d", w.moves))
}
