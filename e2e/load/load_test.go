package load_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
)

// A server that stands still for a second keeps a hundred waiting, not one.
func TestLoadIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stands := time.Now().Add(time.Second)
		l := load.Start(t.Context(), 100, func(context.Context) load.Answer {
			<-time.After(time.Until(stands.Add(time.Second)))
			return load.Answer{By: "one"}
		})
		<-time.After(3*time.Second - time.Millisecond)
		all := l.Stop()
		if len(all) != 300 || len(all.Failed()) != 0 {
			t.Fatalf("%d requests, failed: %s", len(all), all.Why())
		}
		if all.Latency(1) != 2*time.Second || all.Latency(0.5) != 500*time.Millisecond || all.Latency(0) != 0 {
			t.Errorf("latencies %v, %v, %v", all.Latency(0), all.Latency(0.5), all.Latency(1))
		}
		begun := stands.Add(-time.Second)
		if n := len(all.Between(begun.Add(time.Second), begun.Add(2*time.Second))); n != 100 {
			t.Errorf("%d were due in the next second", n)
		}
		if last := all.ServedBy("one").LastSent().Sub(begun); last != 2990*time.Millisecond || !all.ServedBy("two").LastSent().IsZero() {
			t.Errorf("the last was sent after %v", last)
		}
	})
}

func TestStopWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.Start(t.Context(), 1, func(ctx context.Context) load.Answer {
			<-ctx.Done()
			return load.Answer{Failed: errors.New("no answer"), Again: 1}
		})
		<-time.After(time.Second / 2)
		begun := time.Now()
		all := l.Stop()
		if len(all) != 1 || time.Since(begun) != load.Patience-time.Second/2 || all.Why() != "1: no answer" || all.Again() != 1 {
			t.Errorf("%+v after %v", all, time.Since(begun))
		}
	})
}

func TestHTTP(t *testing.T) {
	drop := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/half":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		case drop:
			drop = false
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		default:
			w.Header().Set("Served-By", "me")
		}
	}))
	defer server.Close()
	h := load.NewHTTP(server.URL)
	defer h.Close()
	for range 2 {
		if a := h.Ask(t.Context()); a != (load.Answer{By: "me"}) {
			t.Fatalf("%+v", a)
		}
	}
	drop = true // on a connection that was idle: the client asks again by itself
	if a := h.Ask(t.Context()); a != (load.Answer{By: "me", Again: 1}) {
		t.Errorf("%+v", a)
	}
	for path, want := range map[string]string{"/500": "status 500", "/half": "unexpected EOF"} {
		h := load.NewHTTP(server.URL + path)
		defer h.Close()
		if a := h.Ask(t.Context()); a.Failed == nil || a.Failed.Error() != want {
			t.Errorf("%s: %+v", path, a)
		}
	}
	server.Close()
	if a := h.Ask(t.Context()); a.Failed == nil || !strings.Contains(a.Failed.Error(), "connection refused") {
		t.Errorf("without a server: %+v", a)
	}
}
