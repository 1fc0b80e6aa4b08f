package etcdtest

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Metrics is what a server counts, as it shows it.
type Metrics []byte

// Metrics reads what the server counts.
func (s *Server) Metrics() Metrics {
	s.t.Helper()
	resp, err := http.Get(s.Endpoint() + "/metrics") //nolint:noctx // a test's
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// Calls is the sum of a count of calls: what is "started", or "msg_received" of a stream, and method is gRPC's.
func (m Metrics) Calls(what, method string) int {
	return m.sum(func(series string) bool {
		return strings.HasPrefix(series, "grpc_server_"+what+"_total{") && strings.Contains(series, `grpc_method="`+method+`"`)
	})
}

// Puts is how many keys were written.
func (m Metrics) Puts() int {
	return m.sum(func(series string) bool { return series == "etcd_debugging_mvcc_put_total" })
}

func (m Metrics) sum(of func(series string) bool) int {
	total := 0.0
	for lines := bufio.NewScanner(bytes.NewReader(m)); lines.Scan(); {
		if series, value, _ := strings.Cut(lines.Text(), " "); of(series) {
			number, _ := strconv.ParseFloat(value, 64)
			total += number
		}
	}
	return int(total)
}
