package selfmon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
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
	for range n - maxConns { // all the others are cut, one after the other
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
			r := inSession(HTTP{})
			addr := r.serve(t)
			before := heap()
			swarm(t, addr, 1000, begin)
			for _, path := range []string{"/healthz", "/metrics", "/"} {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerWithin}
				if code, err := get(client, "http://"+addr+path, ""); code != http.StatusOK || err != nil {
					t.Errorf("%s: %d, %v", path, code, err)
				}
			}
			cut := testutil.ToFloat64(r.cut)
			if cut < 1000-maxConns && name != "a body" { // to which the answer is an end
				t.Errorf("%.0f of 1000 connections were cut, and only %d have a place", cut, maxConns)
			}
			grown := int64(heap()) - int64(before)
			t.Logf("%.0f were cut; memory has grown by %d KiB, clients included", cut, grown>>10)
			if limit := int64(maxConns*(64<<10) + 1000*(16<<10)); grown > limit {
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

// Who is answered, or follows the page, stays before those who ask nothing.
func TestWhoIsAnsweredStays(t *testing.T) {
	r := inSession(HTTP{})
	addr := r.serve(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = conn.Close() // first, because the body has no end
		_ = resp.Body.Close()
	}()
	events := bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: {") {
		t.Fatalf("%q, %v", line, err)
	}
	swarm(t, addr, 2*maxConns, "GET")
	r.session.set(0)
	for {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Fatalf("who followed was cut: %v", err)
		}
		if strings.Contains(line, "not held") {
			return
		}
	}
}
