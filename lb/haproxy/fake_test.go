package haproxy_test

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a HAProxy's runtime socket that answers as told. It keeps servers as HAProxy does, one backend per list.
type fake struct {
	path     string
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	pid      int
	uptime   int
	servers  map[string][]*server
	refuse   map[string]string                     // beginning of a command -> what is answered instead of doing it
	answer   func(line string, conn net.Conn) bool // takes the conversation over if it says so
	commands []string                              // all that change something
}

// server is a line of `show servers state`.
type server struct {
	name, addr, port string
	admin            int
	weight, rest     int
}

const header = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_port a_new_one\n"

func newFake(t *testing.T, backends map[string]int) *fake {
	t.Helper()
	f := &fake{path: filepath.Join(t.TempDir(), "s"), pid: 1, servers: map[string][]*server{}, refuse: map[string]string{}}
	for name, slots := range backends {
		for i := range slots {
			f.servers[name] = append(f.servers[name], &server{name: fmt.Sprintf("eru%d", i+1), addr: "0.0.0.0", port: "1", admin: 5, weight: 1})
		}
	}
	f.open(t)
	t.Cleanup(f.close)
	return f
}

func (f *fake) open(t *testing.T) {
	t.Helper()
	var err error
	if f.listener, err = net.Listen("unix", f.path); err != nil {
		t.Fatal(err)
	}
	f.wg.Go(f.accept)
}

// close is what a HAProxy does that ends: its socket is gone.
func (f *fake) close() {
	_ = f.listener.Close()
	f.wg.Wait()
}

func (f *fake) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.wg.Go(func() { f.serve(conn) })
	}
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	if answer != nil && answer(line, conn) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
		_, _ = conn.Write([]byte(f.doLocked(strings.Fields(command)) + "\n"))
	}
}

// with changes the fake while nobody asks it.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) doLocked(words []string) string {
	command := strings.Join(words, " ")
	if !strings.HasPrefix(command, "show ") {
		f.commands = append(f.commands, command)
	}
	for beginning, answer := range f.refuse {
		if strings.HasPrefix(command, beginning) {
			return answer + "\n"
		}
	}
	switch {
	case command == "show info":
		return fmt.Sprintf("Name: HAProxy\nPid: %d\nUptime_sec: %d\n", f.pid, f.uptime)
	case strings.HasPrefix(command, "show servers state"):
		return f.stateLocked(words[3:])
	case strings.HasPrefix(command, "set server "):
		return f.setLocked(words[2], words[3:])
	case strings.HasPrefix(command, "add server "):
		backend, name, _ := strings.Cut(words[2], "/")
		at := strings.LastIndexByte(words[3], ':')
		f.servers[backend] = append(f.servers[backend], &server{name: name, addr: strings.Trim(words[3][:at], "[]"), port: words[3][at+1:], admin: 1, weight: 1})
		return "New server registered.\n"
	case strings.HasPrefix(command, "del server "):
		backend, name, _ := strings.Cut(words[2], "/")
		f.servers[backend] = slices.DeleteFunc(f.servers[backend], func(s *server) bool { return s.name == name })
		return "Server deleted.\n"
	case strings.HasPrefix(command, "enable health "):
		return ""
	}
	return "Unknown command."
}

func (f *fake) stateLocked(backends []string) string {
	if len(backends) == 1 && f.servers[backends[0]] == nil {
		return "Can't find backend.\n"
	}
	var b strings.Builder
	b.WriteString(header)
	for backend, servers := range f.servers {
		if len(backends) == 1 && backends[0] != backend {
			continue
		}
		for i, s := range servers {
			fmt.Fprintf(&b, "3 %s %d %s %s 2 %d %d 1 %d %s -\n", backend, i+1, s.name, s.addr, s.admin, s.weight, s.rest, s.port)
		}
	}
	return b.String()
}

func (f *fake) setLocked(path string, words []string) string {
	s := f.findLocked(path)
	if s == nil {
		return "No such server.\n"
	}
	switch words[0] {
	case "addr":
		s.addr, s.port = words[1], words[3]
		return "IP changed from '0.0.0.0' to '" + s.addr + "' by 'stats socket command'\n"
	case "weight":
		s.weight = 1
	case "state":
		s.admin = map[string]int{"ready": 0, "drain": 8, "maint": 1}[words[1]]
	}
	return ""
}

func (f *fake) findLocked(path string) *server {
	backend, name, _ := strings.Cut(path, "/")
	for _, s := range f.servers[backend] {
		if s.name == name {
			return s
		}
	}
	return nil
}

// told returns the commands since it was asked last.
func (f *fake) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.commands = nil }()
	return f.commands
}

// list is a backend as a person would write it: name, address, state, weight if it is not 1.
func (f *fake) list(backend string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, s := range f.servers[backend] {
		mode := "ready"
		switch {
		case s.admin&1 != 0:
			mode = "maint"
		case s.admin&8 != 0:
			mode = "drain"
		}
		line := s.name + " " + net.JoinHostPort(s.addr, s.port) + " " + mode
		if s.weight != 1 {
			line += fmt.Sprintf(" weight %d", s.weight)
		}
		all = append(all, line)
	}
	return all
}
