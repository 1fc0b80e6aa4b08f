package haproxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/haproxy"
	"github.com/projecteru2/eru-agent/status"
)

var _ lb.Classifier = (*haproxy.Outlet)(nil)

// failed checks an error of Apply: its text, its kind, and whether it is of one service alone.
func failed(t *testing.T, err error, kind, text string, ofService bool) {
	t.Helper()
	var why interface{ Why() string }
	var of *lb.ServiceError
	switch {
	case err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n"):
		t.Errorf("it says %q, want one line with %q", err, text)
	case !errors.As(err, &why) || why.Why() != kind:
		t.Errorf("it is no error of %q: %v", kind, err)
	case !slices.Contains((*haproxy.Outlet)(nil).Kinds(), kind):
		t.Errorf("kind %q is not counted from the start", kind)
	case errors.As(err, &of) != ofService:
		t.Errorf("of a service: %t, want %t: %v", !ofService, ofService, err)
	}
}

// TestNonsense has the socket answer in all the ways in which it is not to; what stands is not touched, and all is well once
// it answers well.
func TestNonsense(t *testing.T) {
	says := func(text string) func(string, net.Conn) bool {
		return func(_ string, c net.Conn) bool { _, _ = io.WriteString(c, text); return true }
	}
	state := func(text string) func(string, net.Conn) bool {
		return func(line string, c net.Conn) bool {
			if strings.HasPrefix(line, "show servers state") {
				_, _ = io.WriteString(c, text)
			}
			return strings.HasPrefix(line, "show servers state")
		}
	}
	for name, test := range map[string]struct {
		answer     func(string, net.Conn) bool
		kind, text string
	}{
		"nothing":                   {says(""), "answer", `reading HAProxy's process: it answers ""`},
		"another program":           {says("HTTP/1.1 400 Bad Request\r\n\r\n"), "answer", `reading HAProxy's process: it answers "HTTP/1.1 400 Bad Request`},
		"a PID that is none":        {says("Pid: one\nUptime_sec: 1\n"), "answer", `reading HAProxy's process: no number in "Pid: one`},
		"half of show info":         {says("Name: HAProxy\nPid: 7\nUpt"), "answer", "reading HAProxy's process: it answers"},
		"much too much":             {func(_ string, c net.Conn) bool { endless(c); return true }, "answer", "it has more than 16777216 bytes"},
		"no servers":                {state(""), "answer", `reading HAProxy's servers: it answers " "`},
		"another version":           {state(strings.Replace(header, "1", "2", 1)), "answer", `reading HAProxy's servers: it answers "2 # be_id`},
		"columns that are missing":  {state("1\n# be_id be_name srv_id srv_name\n"), "answer", "reading HAProxy's servers: it does not say srv_addr, srv_port, srv_admin_state"},
		"half of a line":            {state(header + "3 web 1 eru1 10.0"), "answer", `5 fields of 12 in "3 web 1 eru1 10.0"`},
		"a state that is none":      {state(header + "3 web 1 eru1 10.0.0.1 2 up 1 1 0 80 -\n"), "answer", "no number in"},
		"a port that is none":       {state(header + "3 web 1 eru1 10.0.0.1 2 0 1 1 0 65536 -\n"), "answer", "no port in"},
		"a line of 1 MiB":           {state(strings.Repeat("x", 1<<20)), "answer", "and 1048457 bytes more"},
		"it ends the conversation":  {func(_ string, c net.Conn) bool { return true }, "answer", `it answers ""`},
		"it lets nobody see":        {state("Permission denied\n"), "rights", "it says: Permission denied"},
		"it knows not the commands": {says("Unknown command: 'show info', but maybe …\n"), "answer", "it answers"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, map[string]int{"web": 1, "api": 1})
			file := filepath.Join(t.TempDir(), "haproxy.state")
			o := newOutlet(t, haproxy.Config{Socket: f.path, StateFile: file})
			f.with(func() { f.answer = test.answer })
			s := service("web", "10.0.0.1:80 ready")
			failed(t, o.Apply(t.Context(), []*status.Service{s}), test.kind, test.text, false)
			want(t, "told", f.told(), nil)
			if _, err := os.Stat(file); err == nil {
				t.Error("nonsense stands in the state file")
			}
			f.with(func() { f.answer = nil })
			apply(t, o, s)
			want(t, "stands", f.list("web"), []string{"eru1 10.0.0.1:80 ready"})
		})
	}
}

// endless writes until nobody reads any more.
func endless(c net.Conn) {
	for line := strings.Repeat("x", 1<<16); ; {
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

// TestHang has the socket take the question and say nothing. It is given up soon, and not for each backend anew.
func TestHang(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	asked := 0
	f.with(func() {
		f.answer = func(_ string, c net.Conn) bool {
			asked++
			_, _ = io.Copy(io.Discard, c) // until the other side closes
			return true
		}
	})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	failed(t, o.Apply(t.Context(), []*status.Service{service("web"), service("api")}), "socket", "i/o timeout", false)
	f.close()
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
}

// TestNoSocket has no HAProxy, or something else in its place.
func TestNoSocket(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "nowhere"): "asking HAProxy: dial unix " + dir + "/nowhere: connect: no such file or directory",
		plain:                         "asking HAProxy: dial unix " + plain + ": connect: connection refused",
	} {
		o := newOutlet(t, haproxy.Config{Socket: path})
		failed(t, o.Apply(t.Context(), []*status.Service{service("web")}), "socket", text, false)
	}
}

// TestRefusals has HAProxy not do as told in one backend; the other one is brought to what it shall be.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		slots             int
		beginning, answer string
		kind, text        string
	}{
		"a state that is not taken": {1, "set server web/eru1 state", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.", "refused",
			`backend "web": server eru1 at 10.0.0.1:80 is in state maint with weight 1 of 1, and was to be ready: HAProxy says: "'set server <srv> state' expects`},
		"no slot, and none is added": {0, "add server web/", "Backend must use a dynamic load balancing to support dynamic servers.", "slots",
			`backend "web": no server is at 10.0.0.1:80, because all slots are used (eru1, eru2, …) and HAProxy adds no server: "Backend must use`},
		"silence": {1, "set server web/eru1", "", "refused", `backend "web": no server is at 10.0.0.1:80: HAProxy says: nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, map[string]int{"web": test.slots, "api": 1})
			f.with(func() {
				if test.slots == 0 {
					f.servers["web"] = []*server{{name: "other", addr: "10.9.9.9", port: "80"}}
				}
				f.refuse[test.beginning] = test.answer
			})
			o := newOutlet(t, haproxy.Config{Socket: f.path})
			err := o.Apply(t.Context(), []*status.Service{service("web", "10.0.0.1:80 ready"), service("api", "10.0.1.1:80 ready")})
			failed(t, err, test.kind, test.text, true)
			want(t, "the other backend", f.list("api"), []string{"eru1 10.0.1.1:80 ready"})
		})
	}
}

// TestNoRights may look and not touch, as with a socket of level operator or user.
func TestNoRights(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	f.with(func() { f.refuse["set server"] = "Permission denied" })
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	failed(t, o.Apply(t.Context(), []*status.Service{service("web", "10.0.0.1:80 ready")}), "rights", `for "set server web/eru1 addr 10.0.0.1 port 80": it says: Permission denied`, false)
}

// TestNoBackend names the service whose backend is not there, and serves the rest.
func TestNoBackend(t *testing.T) {
	f := newFake(t, map[string]int{"api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path})
	web, api := service("web", "10.0.0.1:80 ready"), service("api", "10.0.1.1:80 ready")
	failed(t, o.Apply(t.Context(), []*status.Service{web, api}), "backend", `applying shop/web: HAProxy's configuration has no backend "web"`, true)
	want(t, "the other backend", f.list("api"), []string{"eru1 10.0.1.1:80 ready"})
	api = service("api", "10.0.1.1:80 drain")
	failed(t, o.Apply(t.Context(), []*status.Service{web, api}), "backend", `no backend "web"`, true) // though only the other is new
	api = service("api", "10.0.1.1:80 ready")
	failed(t, o.Apply(t.Context(), []*status.Service{web, api}), "backend", `no backend "web"`, true)
	f.with(func() { f.findLocked("api/eru1").admin = 8 })
	f.told()
	failed(t, o.Apply(t.Context(), []*status.Service{web, api}), "backend", `no backend "web"`, true)
	want(t, "told when it is tried again: all is looked at", f.told(), []string{"set server api/eru1 state ready"})
	f.with(func() { f.servers["web"] = []*server{{name: "eru1", addr: "0.0.0.0", port: "1", admin: 5, weight: 1}} })
	apply(t, o, web, api)
	want(t, "told when it is there", f.told(), []string{"set server web/eru1 addr 10.0.0.1 port 80", "set server web/eru1 state ready"})
}

// TestStateFileInNoPlace cannot write the state file; HAProxy is brought to what it shall be all the same.
func TestStateFileInNoPlace(t *testing.T) {
	f := newFake(t, map[string]int{"web": 1, "api": 1})
	o := newOutlet(t, haproxy.Config{Socket: f.path, StateFile: filepath.Join(t.TempDir(), "nowhere", "state")})
	err := o.Apply(t.Context(), []*status.Service{service("web", "10.0.0.1:80 ready")})
	failed(t, err, "file", "writing HAProxy's state file: ", false)
	var beside *lb.Beside
	if !errors.As(err, &beside) {
		t.Errorf("it keeps the service from being applied: %v", err)
	}
	want(t, "stands", f.list("web"), []string{"eru1 10.0.0.1:80 ready"})
}

// FuzzAnswer reads whatever HAProxy may say.
func FuzzAnswer(f *testing.F) {
	f.Add(header + "3 web 1 eru1 10.0.0.1 2 0 1 1 0 80 -\n")
	f.Add("Name: HAProxy\nPid: 7\nUptime_sec: 1\n")
	f.Add("1\n# be_name srv_name srv_addr srv_port srv_admin_state srv_uweight srv_iweight srv_time_since_last_change\n\n\n")
	f.Fuzz(func(t *testing.T, answer string) {
		if n, err := haproxy.Parse(answer); n > strings.Count(answer, "\n")+1 || err != nil && n != 0 || err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%d servers, %v", n, err)
		}
	})
}
