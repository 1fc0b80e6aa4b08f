package systemd

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listen stands in for systemd: it sets NOTIFY_SOCKET and returns a function that waits for the next datagram.
func listen(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8192)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestMessages(t *testing.T) {
	next := listen(t)
	for _, tc := range []struct {
		name string
		say  func() error
		want string
	}{
		{"ready", func() error { return Ready("3 containers") }, "READY=1\nSTATUS=3 containers"},
		{"stopping", func() error { return Stopping("asked to") }, "STOPPING=1\nSTATUS=asked to"},
		{"status", func() error { return Status("etcd is away") }, "STATUS=etcd is away"},
		{"no assignment from a status", func() error { return Status("a\nREADY=1\r\x00b") }, "STATUS=a READY=1  b"},
		{"invalid UTF-8", func() error { return Status("a\xffb") }, "STATUS=a\ufffdb"},
		{"cut between runes", func() error { return Status("a" + strings.Repeat("é", maxStatus)) },
			"STATUS=a" + strings.Repeat("é", (maxStatus-1)/2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.say(); err != nil {
				t.Fatal(err)
			}
			if got := next(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReloadingCarriesTheTime(t *testing.T) {
	next := listen(t)
	if err := Reloading(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(next()), "\n")
	if len(lines) != 2 || lines[0] != "RELOADING=1" {
		t.Fatalf("got %q", lines)
	}
	usec, ok := strings.CutPrefix(lines[1], "MONOTONIC_USEC=")
	if n, err := strconv.ParseUint(usec, 10, 64); !ok || err != nil || n == 0 {
		t.Errorf("got %q, want MONOTONIC_USEC=<microseconds>", lines[1])
	}
}

func TestOutsideSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	if err := errors.Join(Ready("x"), Reloading(), Status("x"), Stopping("x")); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watchdog(ctx, func(context.Context) error { t.Error("alive was asked"); return nil }); err != nil {
		t.Error(err)
	}
}

func TestSocketThatIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Ready("x"); err == nil || !strings.HasPrefix(err.Error(), "notifying systemd: ") {
		t.Errorf("got %v", err)
	}
}

func TestWatchdogPings(t *testing.T) {
	next := listen(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Watchdog(ctx, func(context.Context) error { return nil }) }()
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWatchdogBadTime(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := Watchdog(t.Context(), nil); err == nil || !strings.HasPrefix(err.Error(), "reading the watchdog's time: ") {
		t.Errorf("got %v", err)
	}
}

// TestWatchSchedule: a minute of WatchdogSec=30, in which the service fails, hangs and answers late.
func TestWatchSchedule(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ill := func(context.Context) error { return errors.New("ill") }
	well := func(context.Context) error { return nil }
	late := func(ctx context.Context) error { <-ctx.Done(); return nil }
	slow := func(context.Context) error { time.Sleep(14 * time.Second); return nil } //nolint:forbidigo // synctest's clock
	for _, tc := range []struct {
		name  string
		turns []func(context.Context) error
		want  []int // seconds at which a ping is due
	}{
		{"well", []func(context.Context) error{well, well, well, well}, []int{0, 15, 30, 45}},
		{"ill, then well", []func(context.Context) error{well, ill, ill, well}, []int{0, 45}},
		{"hangs once", []func(context.Context) error{well, hang, well, well}, []int{0, 30, 45}},
		{"nil but late", []func(context.Context) error{late, well, late, well}, []int{15, 45}},
		{"slow but in time", []func(context.Context) error{slow, slow, well, well}, []int{14, 29, 30, 45}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
				defer cancel()
				var got []int
				turn := -1
				alive := func(ctx context.Context) error { turn++; return tc.turns[turn](ctx) }
				watch(ctx, 15*time.Second, alive, func() { got = append(got, int(time.Since(start).Seconds())) })
				if !slices.Equal(got, tc.want) {
					t.Errorf("pings at %v, want %v", got, tc.want)
				}
			})
		})
	}
}
