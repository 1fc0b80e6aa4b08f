package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// terminal is a pseudo-terminal with a program on it, and what a person sees there.
type terminal struct {
	*rig.Process
	t      *testing.T
	master *os.File
	slave  *os.File
	before unix.Termios

	mu     sync.Mutex
	screen *vt.Emulator
	raw    []byte
	drawn  chan struct{} // receives after something was drawn
}

// onTerminal starts the agent's binary on a terminal of its own.
func onTerminal(t *testing.T, width, height int, env []string, args ...string) *terminal {
	t.Helper()
	m := &terminal{t: t, screen: vt.NewEmulator(width, height), drawn: make(chan struct{}, 1)}
	m.open()
	m.size(width, height)
	m.before = m.modes()
	m.Process = r.LaunchAs(t, func(c *exec.Cmd) {
		c.Stdin, c.Stdout, c.Stderr = m.slave, m.slave, m.slave
		c.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR="), env...)
		c.SysProcAttr.Setsid, c.SysProcAttr.Setctty = true, true
	}, args...)
	read, answered := make(chan struct{}), make(chan struct{})
	go func() { defer close(read); m.read() }()
	// The terminal answers what it is asked.
	go func() { defer close(answered); _, _ = io.Copy(m.master, m.screen) }()
	t.Cleanup(func() { // before the program is killed, which it may have to be
		_ = m.slave.Close()
		m.Kill()
		<-read
		_ = m.screen.InputPipe().(io.Closer).Close() // Close of the screen itself does not go with Read
		<-answered
		_ = m.master.Close()
	})
	return m
}

func (m *terminal) open() {
	m.t.Helper()
	var err error
	if m.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		m.t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(m.fd(), unix.TIOCSPTLCK, 0); err != nil {
		m.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(m.fd(), unix.TIOCGPTN)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		m.t.Fatal(err)
	}
}

func (m *terminal) fd() int { return int(m.master.Fd()) }

// size changes the terminal's size, of which the kernel tells who is on it.
func (m *terminal) size(width, height int) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.screen.Resize(width, height)
	if err := unix.IoctlSetWinsize(m.fd(), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(width), Row: uint16(height)}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *terminal) modes() unix.Termios {
	m.t.Helper()
	modes, err := unix.IoctlGetTermios(m.fd(), unix.TCGETS)
	if err != nil {
		m.t.Fatal(err)
	}
	return *modes
}

func (m *terminal) read() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := m.master.Read(buffer)
		if err != nil { // nobody is on the terminal any more
			return
		}
		m.mu.Lock()
		m.raw = append(m.raw, buffer[:n]...)
		_, _ = m.screen.Write(buffer[:n])
		m.mu.Unlock()
		select {
		case m.drawn <- struct{}{}:
		default:
		}
	}
}

func (m *terminal) seen() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.screen.String()
}

func (m *terminal) written() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.raw)
}

func (m *terminal) types(text string) {
	m.t.Helper()
	if _, err := m.master.WriteString(text); err != nil {
		m.t.Fatal(err)
	}
}

// await waits until what is seen is as wanted.
func (m *terminal) await(what string, fits func(string) bool) string {
	m.t.Helper()
	late := time.After(rig.Patience)
	for {
		text := m.seen()
		if fits(text) {
			return text
		}
		select {
		case <-m.drawn:
		case <-late:
			m.t.Fatalf("waiting for %s; it shows\n%s", what, text)
		}
	}
}

func (m *terminal) awaitText(text string) string {
	m.t.Helper()
	return m.await(fmt.Sprintf("%q", text), func(seen string) bool { return strings.Contains(seen, text) })
}

func (m *terminal) awaitWithout(text string) {
	m.t.Helper()
	m.await(fmt.Sprintf("the end of %q", text), func(seen string) bool { return !strings.Contains(seen, text) })
}

// restored holds that the terminal is as it was before the program.
func (m *terminal) restored() {
	m.t.Helper()
	if got := m.modes(); got != m.before {
		m.t.Errorf("the terminal's modes are %+v, and were %+v", got, m.before)
	}
	m.await("its own screen, cursor and modes to be given back", func(string) bool {
		raw := m.written()
		for _, pair := range [][2]string{{"\x1b[?1049h", "\x1b[?1049l"}, {"\x1b[?25l", "\x1b[?25h"}, {"\x1b[?2004h", "\x1b[?2004l"}} {
			if on := strings.LastIndex(raw, pair[0]); on < 0 || on > strings.LastIndex(raw, pair[1]) {
				return false
			}
		}
		return true
	})
}

// fleetOf puts a node and containers of it into etcd, as an agent would.
func fleetOf(etcd *etcdtest.Server, prefix string, containers ...status.Status) {
	etcd.Put(prefix+"/status:node/n1", string(status.Node{Nodename: "n1", Alive: true, Agent: status.NodeAgent{State: status.NodeRunning}}.Encode()))
	for _, s := range containers {
		etcd.Put(fmt.Sprintf("%s/status/shop/web/n1/%s", prefix, s.ID), string(s.Encode(1)))
	}
}

func liveContainer(id string, state status.State) status.Status {
	return status.Status{ID: id, Name: "shop_web_" + id, State: state, Since: time.Now().Add(-90 * time.Second), V: 1}
}

// TestLiveTable is `status --watch` on a real terminal: it shows what changes in etcd, is filtered and sized, survives an etcd
// that goes away, and gives the terminal back.
func TestLiveTable(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	way := etcdtest.NewProxy(t, etcd.Address())
	fleetOf(etcd, "/live", liveContainer("aaa", status.StateHealthy), liveContainer("bbb", status.StateUnhealthy))
	m := onTerminal(t, 80, 24, nil, "status", "--watch", "--etcd.endpoints", way.Address(), "--etcd.prefix", "/live", "--etcd.timeout", "1s")
	m.awaitText("2 containers: 1 unhealthy, 1 healthy")
	m.awaitText("nodes: 1 alive, 0 silent · drains: 0 · monitor: none")
	m.awaitText("1m3") // the time goes on
	if !strings.Contains(m.written(), "\x1b[32m") && !strings.Contains(m.written(), "\x1b[0;32m") {
		t.Error("a healthy container is not green")
	}

	fleetOf(etcd, "/live", status.Status{ID: "aaa", Name: "shop_web_aaa", State: status.StateUnhealthy, Reason: "http_code", Since: time.Now(), V: 1})
	m.awaitText("* unhealthy")
	m.awaitText("2 containers: 2 unhealthy")
	m.awaitWithout("* unhealthy") // it is marked for a while

	m.types("/bbb")
	m.awaitText("1 of 2 containers")
	m.awaitWithout("shop_web_aaa")
	m.types("\x1b")
	m.awaitText("shop_web_aaa")

	m.size(200, 30)
	m.awaitText("ENDPOINTS")
	m.size(60, 10)
	m.awaitWithout("ENDPOINTS")
	m.await("ten lines that end with the keys", func(seen string) bool {
		lines := strings.Split(seen, "\n")
		return len(lines) == 10 && strings.HasPrefix(lines[9], "1-2 by app")
	})

	m.size(80, 24)
	way.Cut()
	m.awaitText("etcd away since ")
	m.awaitText("shop_web_bbb")
	way.Resume()
	m.awaitText("etcd is followed")

	m.types("q")
	want(t, "exit code", m.Wait(), 0)
	m.restored()
}

// TestLiveEnd ends the live table in every way, and finds the terminal as it was.
func TestLiveEnd(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	fleetOf(etcd, "/live", liveContainer("aaa", status.StateHealthy))
	for _, test := range []struct {
		name string
		end  func(*terminal)
	}{
		{"q", func(m *terminal) { m.types("q") }},
		{"Ctrl-C", func(m *terminal) { m.types("\x03") }},
		{"SIGTERM", func(m *terminal) { m.Signal(syscall.SIGTERM) }},
		{"SIGINT", func(m *terminal) { m.Signal(syscall.SIGINT) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := onTerminal(t, 80, 24, []string{"NO_COLOR=1"}, "status", "-w", "--etcd.endpoints", etcd.Address(), "--etcd.prefix", "/live")
			m.awaitText("shop_web_aaa")
			if now := m.modes(); now.Lflag&unix.ICANON != 0 {
				t.Error("the terminal is not in raw mode")
			}
			test.end(m)
			want(t, "exit code", m.Wait(), 0)
			m.restored()
			for _, colour := range []string{"\x1b[3", "\x1b[9", "\x1b[4", "\x1b[0;3", "\x1b[1;3"} {
				for _, rest := range strings.Split(m.written(), colour)[1:] {
					if end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != ';' }); end >= 0 && rest[end] == 'm' {
						t.Errorf("in spite of NO_COLOR it writes %q", colour+rest[:end+1])
					}
				}
			}
		})
	}
}

// TestLiveHostileText puts into etcd what would harm a terminal.
func TestLiveHostileText(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	hostile := []string{
		"\x1b]0;owned\a\x1b[2J\x1b[31mred", "\u009b31m\u009d0;owned\u009c", "a\rb\nc\td", "\u202egnp.exe\u2066", "zero\u200bwidth", "broken\xff\xc3(",
		"漢字かな交じり文", strings.Repeat("10 KB ", 1700),
	}
	var fleet []status.Status
	for i, text := range hostile {
		fleet = append(fleet, status.Status{ID: fmt.Sprintf("id%d", i), Name: text, State: status.StateUnhealthy, Reason: text, Detail: text,
			Endpoints: map[string]string{text: text}, Since: time.Now(), V: 1})
	}
	fleetOf(etcd, "/live", append(fleet, liveContainer("zzz", status.StateHealthy))...)
	for _, width := range []int{80, 200} {
		m := onTerminal(t, width, 24, nil, "status", "-w", "--etcd.endpoints", etcd.Address(), "--etcd.prefix", "/live")
		seen := m.awaitText("shop_web_zzz")
		m.awaitText("9 containers: 8 unhealthy, 1 healthy")
		if got := strings.Count(seen, "unhealthy"); got != 9 { // eight rows and the head
			t.Errorf("%d unhealthy on %d columns:\n%s", got, width, seen)
		}
		m.types("q")
		want(t, "exit code", m.Wait(), 0)
		m.restored()
		raw := m.written()
		for _, text := range []string{"\x1b]0;", "\x1b[31mred", "\u009b", "\u009d", "\u202e", "\u2066", "\u200b", "\xff"} {
			if strings.Contains(raw, text) {
				t.Errorf("%q reaches the terminal", text)
			}
		}
		if !utf8.ValidString(raw) {
			t.Error("what reaches the terminal is no UTF-8")
		}
	}
}
