package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Etcd is one member, which syncs to disk as etcd does.
type Etcd struct {
	*Process
	Endpoint string
	Client   *clientv3.Client
	Version  string
}

func (s *Stage) startEtcd(ctx context.Context) (*Etcd, error) {
	host := s.ownHost()
	e := &Etcd{Endpoint: "http://" + host + ":2379"}
	peer, data, log := "http://"+host+":2380", filepath.Join(s.dir, "etcd"), filepath.Join(s.dir, "etcd.log")
	c := exec.Command(s.program("etcd"), "--name", "bench", "--data-dir", data, "--logger", "zap", "--log-level", "error",
		"--log-outputs", log, "--quota-backend-bytes", strconv.Itoa(4<<30), "--listen-client-urls", e.Endpoint, "--advertise-client-urls", e.Endpoint,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "bench="+peer)
	if err := s.nursery.start(c); err != nil {
		return nil, err
	}
	e.Process = &Process{cmd: c}
	s.onClose(e.End)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	e.Client = client
	s.onClose(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	status, err := client.Status(ctx, e.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("waiting for etcd: %w: %s", err, tail(log))
	}
	e.Version = status.Version
	return e, nil
}

// Counters are etcd's own, since it started.
type Counters struct {
	Revision   int64   `json:"revision"`    // one for each writing transaction
	Puts       float64 `json:"puts"`        // keys written
	Ranges     float64 `json:"ranges"`      // keys or ranges read
	Txns       float64 `json:"txns"`        // transactions asked for
	KeepAlives float64 `json:"keep_alives"` // of leases
}

// Minus is what has happened since an earlier reading.
func (c Counters) Minus(b Counters) Counters {
	return Counters{c.Revision - b.Revision, c.Puts - b.Puts, c.Ranges - b.Ranges, c.Txns - b.Txns, c.KeepAlives - b.KeepAlives}
}

// Counters reads them; that itself is no operation of the store but one read of
// the revision.
func (e *Etcd) Counters(ctx context.Context) (Counters, error) {
	text, err := Get(ctx, e.Endpoint+"/metrics")
	if err != nil {
		return Counters{}, err
	}
	status, err := e.Client.Status(ctx, e.Endpoint)
	if err != nil {
		return Counters{}, fmt.Errorf("asking etcd for its revision: %w", err)
	}
	return Counters{
		Revision: status.Header.Revision,
		Puts:     sum(text, "etcd_mvcc_put_total"), Ranges: sum(text, "etcd_mvcc_range_total"),
		Txns:       sum(text, "grpc_server_handled_total", `grpc_method="Txn"`),
		KeepAlives: sum(text, "grpc_server_msg_received_total", `grpc_method="LeaseKeepAlive"`),
	}, nil
}

// sum adds up the series of a metric that have all labels.
func sum(text, metric string, labels ...string) float64 {
	total := 0.0
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name, _, _ := strings.Cut(series, "{"); name != metric || !containsAll(series, labels) {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			total += v
		}
	}
	return total
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// Get reads a page.
func Get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", url, err)
	}
	req.Close = true // no connection stays that the one who is measured would have to keep
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(text), err
}

// Log is a file for what a process says.
func (s *Stage) log(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
