package dubbo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/examples/dubbo"
	"github.com/projecteru2/eru-agent/healthcheck"
)

// provider is a fake Dubbo server: it reads one heartbeat and lets answer reply.
func provider(t *testing.T, answer func(conn net.Conn, id uint64)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		frame := make([]byte, 17)
		if _, err := io.ReadFull(conn, frame); err != nil {
			t.Errorf("reading the heartbeat: %s", err)
			return
		}
		if !bytes.HasPrefix(frame, []byte{0xda, 0xbb, 0xe2, 0}) || !bytes.HasSuffix(frame, []byte{0, 0, 0, 1, 'N'}) {
			t.Errorf("no heartbeat: %x", frame)
		}
		answer(conn, binary.BigEndian.Uint64(frame[4:]))
		_, _ = io.Copy(io.Discard, conn)
	})
	t.Cleanup(func() {
		_ = l.Close()
		served.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// reply is an answer with these flags and this status.
func reply(flags, status byte, id uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{0xda, 0xbb, flags, status}, id)
	return append(binary.BigEndian.AppendUint32(b, 1), 'N')
}

func TestHeartbeat(t *testing.T) {
	saying := func(flags, status byte, more uint64) func(net.Conn, uint64) {
		return func(conn net.Conn, id uint64) { _, _ = conn.Write(reply(flags, status, id+more)) }
	}
	tests := map[string]struct {
		answer func(net.Conn, uint64)
		reason healthcheck.Reason
		detail string
	}{
		"good":                {answer: saying(0x22, 20, 0)},
		"other serialization": {answer: saying(0x37, 20, 0)},
		"wrong id":            {answer: saying(0x22, 20, 1), reason: "answer", detail: "the answer is to request "},
		"status not ok":       {answer: saying(0x22, 100, 0), reason: "answer", detail: "status 100, want 20"},
		"a request":           {answer: saying(0xe2, 20, 0), reason: "answer", detail: "a request came back, not an answer"},
		"a call's answer":     {answer: saying(0x02, 20, 0), reason: "answer", detail: "the answer is not one to a heartbeat"},
		"garbage": {answer: func(conn net.Conn, _ uint64) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") },
			reason: "answer", detail: "48545450 is no Dubbo frame"},
		"silent": {answer: func(net.Conn, uint64) {}, reason: "timeout", detail: "waiting for the heartbeat's answer: no answer in time"},
		"half":   {answer: func(conn net.Conn, id uint64) { _, _ = conn.Write(reply(0x22, 20, id)[:9]) }, reason: "timeout", detail: "waiting for the heartbeat's answer: no answer in time"},
		"closed": {answer: func(conn net.Conn, _ uint64) { _ = conn.Close() }, reason: "reset", detail: "waiting for the heartbeat's answer: the connection was closed"},
		"endless": {answer: func(conn net.Conn, _ uint64) {
			for {
				if _, err := conn.Write(bytes.Repeat([]byte{0xda}, 4096)); err != nil {
					return
				}
			}
		}, reason: "answer", detail: "dadadada is no Dubbo frame"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ask(t, provider(t, tt.answer), tt.reason == "timeout")
			if v.Pass != (tt.reason == "") || v.Reason != tt.reason || !strings.HasPrefix(v.Detail, tt.detail) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func ask(t *testing.T, addr netip.AddrPort, impatient bool) healthcheck.Verdict {
	t.Helper()
	check, err := parse(map[string]string{"eru.health.dubbo.port": strconv.Itoa(int(addr.Port()))})
	if err != nil {
		t.Fatal(err)
	}
	timeout := 10 * time.Second
	if impatient {
		timeout = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return check.Ask(ctx, healthcheck.Target{Addr: addr.Addr()}, nil)
}

func parse(labels map[string]string) (healthcheck.Check, error) {
	cfg := healthcheck.Config{Interval: 5 * time.Second, Timeout: 2 * time.Second}
	return healthcheck.NewParser(cfg, dubbo.Prober{}).Parse(labels)
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	if v := ask(t, addr, false); v.Reason != healthcheck.ReasonRefused {
		t.Errorf("%+v", v)
	}
}

func TestLabels(t *testing.T) {
	check, err := parse(map[string]string{"eru.health.dubbo.port": "20880"})
	if err != nil || len(check.Probes) != 1 || check.Probes[0].Name != "dubbo :20880" || len(check.Publish) != 1 || check.Publish[0] != 20880 {
		t.Errorf("%+v, %v", check, err)
	}
	for label, want := range map[string]string{
		"eru.health.dubbo.prot": `eru.health.dubbo.port="": want the port of the Dubbo protocol, as in 20880`,
		"eru.health.dubbo.port": `eru.health.dubbo.port="x": want ports from 1 to 65535, as in 80,443`,
	} {
		_, err := parse(map[string]string{label: "x"})
		var fault *healthcheck.LabelError
		if !errors.As(err, &fault) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What docs/probes.md shows is what stands here.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"dubbo.go", "eru-agent-dubbo/main.go"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, shown, _ := bytes.Cut(code, []byte("\n)\n\n")) // what follows the imports
		if !bytes.Contains(doc, append([]byte("```go\n"), append(shown, "```\n"...)...)) {
			t.Errorf("docs/probes.md does not show %s as it is", file)
		}
	}
}
