package port_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/port/porttest"
)

// slow are clients that keep their connections open and get nothing done. One that
// is cut comes again.
type slow struct {
	wg     sync.WaitGroup
	cancel context.CancelFunc
}

// swarm lets n clients send what begins a request, and then one byte at a time.
func swarm(t *testing.T, addr string, n int, begin string) *slow {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &slow{cancel: cancel}
	first := make(chan struct{}, n)
	for range n {
		s.wg.Go(func() {
			hold(ctx, addr, begin)
			first <- struct{}{}
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond): // comes again
					hold(ctx, addr, begin)
				}
			}
		})
	}
	t.Cleanup(s.end)
	for range n - places { // all the others are cut, one after the other
		<-first
	}
	return s
}

// hold keeps one connection until it is cut or ctx ends.
func hold(ctx context.Context, addr, begin string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, begin); err != nil {
		return
	}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			return
		}
		_, _ = io.WriteString(conn, "x")
	}
}

func (s *slow) end() {
	s.cancel()
	s.wg.Wait()
}

// A thousand clients that send slowly, or nothing, or do not read, keep nobody out
// and cost no more than there are places.
func TestAThousandSlowConnections(t *testing.T) {
	for name, begin := range map[string]string{
		"nothing":     "",
		"half a head": "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
		"large heads": "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + strings.Repeat("x", maxHead-1024),
		"a body":      "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr, count := serve(t, well(), port.Config{})
			before := heap()
			swarm(t, addr, 1000, begin)
			for range 3 {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerWithin}
				resp, err := client.Get("http://" + addr)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Error(resp.Status)
				}
			}
			cut := testutil.ToFloat64(count)
			if cut < 1000-places && name != "a body" { // to which the answer is an end
				t.Errorf("%.0f of 1000 connections were cut, and only %d have a place", cut, places)
			}
			grown := int64(heap()) - int64(before)
			t.Logf("%.0f were cut; memory has grown by %d KiB, clients included", cut, grown>>10)
			if limit := int64(places*(64<<10) + 1000*(16<<10)); grown > limit {
				t.Errorf("memory has grown by %d KiB, at most %d are expected", grown>>10, limit>>10)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Who is answered, for as long as that takes, stays before those who ask nothing.
func TestWhoIsAnsweredStays(t *testing.T) {
	more := make(chan string)
	addr, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		for text := range more {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	}), port.Config{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	more <- "before\n"
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	swarm(t, addr, 2*places, "GET")
	more <- "after\n"
	close(more)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "before\nafter\n" {
		t.Fatalf("who is answered was cut: %q, %v", body, err)
	}
}

// Who asks and does not read the answer is cut off in time, that of the port or the
// handler's own, and counted once.
func TestWhoDoesNotReadIsCut(t *testing.T) {
	for name, within := range map[string]time.Duration{"the port's": answerWithin, "its own": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := porttest.Listen()
				cut := serveOn(t, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if within != answerWithin {
						_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within))
					}
					port.Answer(w, nil, strings.Repeat("well ", 1000))
				}), port.Config{})
				client := l.Dial()
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				elapse(within - time.Millisecond)
				if n := testutil.ToFloat64(cut); n != 0 {
					t.Errorf("%.0f are counted too early", n)
				}
				elapse(2 * time.Millisecond)
				if n := testutil.ToFloat64(cut); n != 1 {
					t.Errorf("%.0f are counted", n)
				}
				if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("it is still open: %d bytes, %v", n, err)
				}
			})
		})
	}
}

// elapse lets d go by on the bubble's clock, and then all that follows from it.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}
