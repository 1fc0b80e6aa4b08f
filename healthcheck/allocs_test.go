package healthcheck

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"
)

// serveBare answers every request that comes to a new listener, without an
// allocation of its own.
func serveBare(t *testing.T, answer string) uint16 {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: loopback(1).AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	fd := f.Fd() // which makes it block
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf, text := make([]byte, 4096), []byte(answer)
		for {
			conn, _, errno := syscall.Syscall6(syscall.SYS_ACCEPT4, fd, 0, 0, syscall.SOCK_CLOEXEC, 0, 0)
			if errno != 0 {
				return
			}
			_, _ = syscall.Read(int(conn), buf)
			_, _ = syscall.Write(int(conn), text)
			_ = syscall.Close(int(conn))
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR)
		<-served
		_ = f.Close()
		_ = l.Close()
	})
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// TestAllocationsOfAPass counts what a probe that passes allocates. It does not
// depend on the machine; a change that makes it more says why. Two of tcp are for
// the loopback interface alone (see alone).
func TestAllocationsOfAPass(t *testing.T) {
	port := serveBare(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nok\n")
	memory := &scratches{}
	for _, c := range []struct {
		kind string
		run  func(ctx context.Context) Verdict
		most float64
	}{
		{"http", func(ctx context.Context) Verdict {
			return (&httpProbe{port: port, method: "GET", path: "/", codes: codes{{200, 399}}, memory: memory}).run(ctx, Target{Addr: loopback(1)})
		}, 9},
		{"tcp", func(ctx context.Context) Verdict { return connect(ctx, Target{Addr: loopback(1)}, port) }, 4},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		got := testing.AllocsPerRun(200, func() {
			if v := c.run(ctx); !v.Pass {
				t.Error(v)
			}
		})
		cancel()
		t.Logf("%s: %v", c.kind, got)
		if got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.kind, got, c.most)
		}
	}
}
