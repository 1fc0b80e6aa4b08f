package haproxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/lb/haproxy"
	"github.com/projecteru2/eru-agent/status"
)

// TestApply brings a backend from one set to the next, and looks at each command.
func TestApply(t *testing.T) {
	f := newFake(t, map[string]int{"web": 3, "api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	for _, step := range []struct {
		name     string
		servers  []string
		told     []string
		standing []string
	}{
		{
			"two new ones", []string{"10.0.0.1:80 ready", "10.0.0.2:80 ready"},
			[]string{"set server web/eru1 addr 10.0.0.1 port 80", "set server web/eru1 state ready", "set server web/eru2 addr 10.0.0.2 port 80", "set server web/eru2 state ready"},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 10.0.0.2:80 ready", "eru3 0.0.0.0:1 maint"},
		},
		{
			"one drains", []string{"10.0.0.1:80 drain", "10.0.0.2:80 ready"},
			[]string{"set server web/eru1 state drain"},
			[]string{"eru1 10.0.0.1:80 drain", "eru2 10.0.0.2:80 ready", "eru3 0.0.0.0:1 maint"},
		},
		{
			"it stops and another one comes: what gets less is told first, and the slot that never had an address is taken",
			[]string{"10.0.0.1:80 none", "10.0.0.2:80 ready", "10.0.0.3:80 ready"},
			[]string{"set server web/eru1 state maint", "set server web/eru3 addr 10.0.0.3 port 80", "set server web/eru3 state ready"},
			[]string{"eru1 10.0.0.1:80 maint", "eru2 10.0.0.2:80 ready", "eru3 10.0.0.3:80 ready"},
		},
		{
			"it comes back, into its slot", []string{"10.0.0.1:80 ready", "10.0.0.2:80 ready", "10.0.0.3:80 ready"},
			[]string{"set server web/eru1 state ready"},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 10.0.0.2:80 ready", "eru3 10.0.0.3:80 ready"},
		},
		{
			"one goes for good, and a new one gets its slot", []string{"10.0.0.1:80 ready", "10.0.0.3:80 ready", "[fd00::4]:80 ready"},
			[]string{"set server web/eru2 state maint", "set server web/eru2 addr fd00::4 port 80", "set server web/eru2 state ready"},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 [fd00::4]:80 ready", "eru3 10.0.0.3:80 ready"},
		},
		{
			"more than there are slots", []string{"10.0.0.1:80 ready", "10.0.0.3:80 ready", "[fd00::4]:80 ready", "10.0.0.5:80 ready", "[fd00::6]:80 drain"},
			[]string{
				"add server web/eru-10.0.0.5_80 10.0.0.5:80 check inter 2s", "enable health web/eru-10.0.0.5_80", "set server web/eru-10.0.0.5_80 state ready",
				"add server web/eru-fd00..6_80 [fd00::6]:80 check inter 2s", "enable health web/eru-fd00..6_80", "set server web/eru-fd00..6_80 state drain",
			},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 [fd00::4]:80 ready", "eru3 10.0.0.3:80 ready", "eru-10.0.0.5_80 10.0.0.5:80 ready", "eru-fd00..6_80 [fd00::6]:80 drain"},
		},
		{
			"they go again", []string{"10.0.0.1:80 ready", "10.0.0.3:80 ready", "[fd00::4]:80 ready", "10.0.0.5:80 none"},
			[]string{
				"set server web/eru-10.0.0.5_80 state maint", "set server web/eru-fd00..6_80 state maint",
				"del server web/eru-10.0.0.5_80", "del server web/eru-fd00..6_80",
			},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 [fd00::4]:80 ready", "eru3 10.0.0.3:80 ready"},
		},
		{
			"two containers say that they are at one address: one of them is gone", []string{"10.0.0.1:80 none", "10.0.0.1:80 drain", "10.0.0.1:80 ready"},
			[]string{"set server web/eru2 state maint", "set server web/eru3 state maint"},
			[]string{"eru1 10.0.0.1:80 ready", "eru2 [fd00::4]:80 maint", "eru3 10.0.0.3:80 maint"},
		},
		{
			"all are gone", nil,
			[]string{"set server web/eru1 state maint"},
			[]string{"eru1 10.0.0.1:80 maint", "eru2 [fd00::4]:80 maint", "eru3 10.0.0.3:80 maint"},
		},
	} {
		apply(t, o, service("web", step.servers...))
		want(t, step.name+": told", f.told(), step.told)
		want(t, step.name+": stands", f.list("web"), step.standing)
	}
}

// TestOnlyDifferences says the same again, in which everything is looked at and nothing is to be told, until somebody else
// has changed it.
func TestOnlyDifferences(t *testing.T) {
	f := newFake(t, map[string]int{"web": 2, "api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	web, api := service("web", "10.0.0.1:80 ready"), service("api", "10.0.1.1:80 ready")
	apply(t, o, web, api)
	f.told()
	apply(t, o, web, api)
	want(t, "told when nothing is new", f.told(), nil)
	f.with(func() {
		f.findLocked("web/eru1").weight = 0
		f.findLocked("web/eru2").admin = 0
		f.findLocked("api/eru1").admin = 8
	})
	apply(t, o, web, api)
	want(t, "told when somebody has meddled", f.told(), []string{"set server web/eru2 state maint", "set server web/eru1 weight 100%", "set server api/eru1 state ready"})
}

// TestCutsComeFirst changes two services at once: what gets less is told before what gets more, whichever it is of.
func TestCutsComeFirst(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	apply(t, o, service("web"), service("api", "10.0.1.1:80 ready"))
	f.told()
	apply(t, o, service("web", "10.0.0.1:80 ready"), service("api", "10.0.1.1:80 none"))
	want(t, "told", f.told(), []string{"set server api/eru1 state maint", "set server web/eru1 addr 10.0.0.1 port 80", "set server web/eru1 state ready"})
}

// TestOthersServers leaves alone what is not of the template, and backends of services of which nothing is known.
func TestOthersServers(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	f.with(func() {
		f.servers["web"] = append(f.servers["web"], &server{name: "sorry", addr: "10.9.9.9", port: "80", weight: 1},
			&server{name: "erupt", addr: "10.9.9.8", port: "80", weight: 1}, &server{name: "eru", addr: "/a/socket", port: "0", weight: 1})
		f.findLocked("api/eru1").admin = 0
	})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	apply(t, o, service("web", "10.0.0.1:80 ready"))
	want(t, "told", f.told(), []string{"set server web/eru1 addr 10.0.0.1 port 80", "set server web/eru1 state ready"})
}

// TestPorts sends each route to the port that it names.
func TestPorts(t *testing.T) {
	f := newFake(t, map[string]int{"lowest": 1, "named": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path, Routes: routes(t, "shop/web=lowest", "shop/web:9090=named")})
	s := service("web", "10.0.0.1:80 ready")
	s.Servers[0].Status.Endpoints = map[string]string{"8080": "10.0.0.1:8080", "443": "10.0.0.1:443", "9090": "10.0.0.1:32768", "x": "10.0.0.1:1"}
	apply(t, o, s)
	want(t, "lowest", f.list("lowest"), []string{"eru1 10.0.0.1:443 ready"})
	want(t, "named", f.list("named"), []string{"eru1 10.0.0.1:32768 ready"})
	s = service("web", "10.0.0.1:80 ready")
	apply(t, o, s)
	want(t, "a port that is not published", f.list("named"), []string{"eru1 10.0.0.1:32768 maint"})
}

// TestStateFile looks at what the next HAProxy begins with: HAProxy's own words, of our backends only, all of them.
func TestStateFile(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1, "others": 1})
	file := filepath.Join(t.TempDir(), "haproxy.state")
	o := newOutlet(t, haproxy.Config{Socket: f.path, StateFile: file})
	apply(t, o)
	stands(t, file, header+"3 web 1 eru1 0.0.0.0 2 5 1 1 0 1 -\n3 api 1 eru1 0.0.0.0 2 5 1 1 0 1 -\n")
	apply(t, o, service("web", "10.0.0.1:80 ready"))
	stands(t, file, header+"3 web 1 eru1 10.0.0.1 2 0 1 1 0 80 -\n3 api 1 eru1 0.0.0.0 2 5 1 1 0 1 -\n")
	if left, err := filepath.Glob(file + "?*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func stands(t *testing.T, file, text string) {
	t.Helper()
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("in the state file stands\n%swant\n%s%v", got, text, err)
	}
}

// TestAnotherHAProxy has HAProxy start again: with another PID, or with the same one, as in a container. All that was told is
// told again.
func TestAnotherHAProxy(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	f.with(func() { f.uptime = 100 })
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	web, api := service("web", "10.0.0.1:80 ready"), service("api", "10.0.1.1:80 ready")
	apply(t, o, web, api)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- o.Run(ctx) }()
	for _, restart := range []func(){func() { f.pid = 2 }, func() { f.uptime = 0 }} {
		f.told()
		f.with(func() {
			restart()
			f.servers["web"][0] = &server{name: "eru1", addr: "0.0.0.0", port: "1", admin: 5, weight: 1}
		})
		<-o.Lost()
		apply(t, o, web, service("api", "10.0.1.1:80 ready"))
		want(t, "told", f.told(), []string{"set server web/eru1 addr 10.0.0.1 port 80", "set server web/eru1 state ready"})
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRestartInTheMiddle has HAProxy start again after it was told and before that is verified: it does not count as applied.
func TestRestartInTheMiddle(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	web := service("web", "10.0.0.1:80 ready")
	f.with(func() {
		f.answer = func(line string, _ net.Conn) bool {
			if strings.HasPrefix(line, "set server") {
				f.with(func() { f.pid++ })
			}
			return false
		}
	})
	failed(t, o.Apply(t.Context(), []*status.Service{web}), "socket", "HAProxy was started again while it was told of 1 services", false)
	<-o.Lost()
	apply(t, o, web)
	want(t, "stands", f.list("web"), []string{"eru1 10.0.0.1:80 ready"})
}

// TestManyCommands tells more than HAProxy takes in one line.
func TestManyCommands(t *testing.T) {
	const many = 500
	f := newFake(t, map[string]int{"web": many})
	longest := 0
	f.with(func() {
		f.answer = func(line string, _ net.Conn) bool { longest = max(longest, len(line)); return false }
	})
	var servers, standing []string
	for i := range many {
		at := fmt.Sprintf("10.0.%d.%d:80 ready", i/200, 1+i%200)
		servers = append(servers, at)
		standing = append(standing, fmt.Sprintf("eru%d %s", i+1, at))
	}
	o := newOutlet(t, haproxy.Config{Socket: f.path, Routes: routes(t, "shop/web=web")})
	apply(t, o, service("web", servers...))
	stood := f.list("web")
	slices.Sort(stood)
	slices.Sort(standing)
	want(t, "stands", stood, standing)
	f.close()
	if longest > 4096 {
		t.Errorf("a line has %d bytes", longest)
	}
}
