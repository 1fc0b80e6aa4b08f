package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Etcd is one member or several, which sync to disk as etcd does.
type Etcd struct {
	Members  []*Member
	Endpoint string // of each, with commas between
	Client   *clientv3.Client
	Version  string
}

// Member is one of them.
type Member struct {
	*Logged
	Endpoint string

	begin func() (*Logged, error)
}

// Pid is the first member's.
func (e *Etcd) Pid() int { return e.Members[0].Pid() }

// here is this machine, at an address that nothing else uses.
func (s *Stage) here() Host { return Host{s.Host(), exec.Command} }

// Host is where a process is started: an address that is its own, and what
// makes a command that runs there, as exec.Command does here.
type Host struct {
	Address string
	Command func(program string, args ...string) *exec.Cmd
}

// StartEtcd starts a member on each host, as the stage's etcd.
func (s *Stage) StartEtcd(ctx context.Context, hosts ...Host) error {
	var all, endpoints []string
	for i, h := range hosts {
		all = append(all, fmt.Sprintf("m%d=http://%s:2380", i, h.Address))
		endpoints = append(endpoints, "http://"+h.Address+":2379")
	}
	e := &Etcd{Endpoint: strings.Join(endpoints, ",")}
	for i, h := range hosts {
		m := &Member{Endpoint: endpoints[i], begin: func() (*Logged, error) { return s.startMember(h, i, strings.Join(all, ",")) }}
		var err error
		if m.Logged, err = m.begin(); err != nil {
			return err
		}
		e.Members = append(e.Members, m)
		s.onClose(func() { m.End() })
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("connecting to etcd: %w", err)
	}
	e.Client, s.Etcd = client, e
	s.onClose(func() { _ = client.Close() })
	return e.await(ctx)
}

func (s *Stage) startMember(on Host, i int, all string) (*Logged, error) {
	name := fmt.Sprintf("m%d", i)
	client, peer := "http://"+on.Address+":2379", "http://"+on.Address+":2380"
	return s.Start("etcd-"+name, on.Command(s.Program("etcd"), "--name", name, "--data-dir", s.file("data-"+name), "--logger", "zap", "--log-level", "error",
		"--log-outputs", "stderr", "--quota-backend-bytes", strconv.Itoa(4<<30), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", all))
}

// await returns once all members answer.
func (e *Etcd) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, m := range e.Members {
		status, err := e.Client.Status(ctx, m.Endpoint)
		if err != nil {
			return m.Explain(fmt.Errorf("waiting for etcd: %w", err))
		}
		e.Version = status.Version
	}
	return nil
}

// Stop ends all members, by a signal.
func (e *Etcd) Stop(sig syscall.Signal) error {
	var errs []error
	for _, m := range e.Members {
		errs = append(errs, m.Stop(sig))
	}
	return errors.Join(errs...)
}

// Resume starts them anew, with their data, after Stop, and returns once they
// answer.
func (e *Etcd) Resume(ctx context.Context) error {
	for _, m := range e.Members {
		var err error
		if m.Logged, err = m.begin(); err != nil {
			return err
		}
	}
	return Until(ctx, "etcd to answer", func() bool {
		for _, m := range e.Members {
			if _, err := Get(ctx, m.Endpoint+"/health"); err != nil {
				return false
			}
		}
		return true
	})
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
	text, err := Get(ctx, e.Members[0].Endpoint+"/metrics")
	if err != nil {
		return Counters{}, err
	}
	status, err := e.Client.Status(ctx, e.Members[0].Endpoint)
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
	return os.OpenFile(s.file(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
