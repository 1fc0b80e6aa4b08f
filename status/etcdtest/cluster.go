package etcdtest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/e2e/network"
)

// Cluster is one or more members that are processes of their own, each on a
// machine of its own as far as the network goes.
type Cluster struct {
	Members []*Member

	t       testing.TB
	program string
	quota   int
}

// Member is one of a Cluster. Its faults do not touch the others.
type Member struct {
	Name string

	cluster *Cluster
	place   place
	host    *network.Host
	process process
	up      bool
	client  *clientv3.Client
}

// StartCluster starts a cluster of an etcd program, which is in PATH or a path,
// and ends it with the test. Its database takes quota bytes. It needs root, and
// ip of iproute2.
func StartCluster(t testing.TB, program string, members, quota int) *Cluster {
	t.Helper()
	w, err := network.New(members)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return StartClusterOn(t, program, w.Hosts, quota)
}

// StartClusterOn is StartCluster with a member on each of hosts that there are
// already.
func StartClusterOn(t testing.TB, program string, hosts []*network.Host, quota int) *Cluster {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs etcd as a program (Debian: apt-get install etcd-server): %v", err)
	}
	c := &Cluster{t: t, program: path, quota: quota}
	dir := t.TempDir()
	for i, h := range hosts {
		name := fmt.Sprintf("m%d", i)
		m := &Member{Name: name, cluster: c, host: h, place: place{dir: filepath.Join(dir, name), client: h.Address + ":2379", peer: h.Address + ":2380"}}
		c.Members = append(c.Members, m)
		t.Cleanup(m.end)
	}
	for _, m := range c.Members {
		m.Start()
	}
	c.Leader()
	return c
}

// Endpoints are the URLs of all members, with commas between.
func (c *Cluster) Endpoints() string {
	urls := make([]string, len(c.Members))
	for i, m := range c.Members {
		urls[i] = m.Endpoint()
	}
	return strings.Join(urls, ",")
}

// Leader is the member that leads, once most of them say so.
func (c *Cluster) Leader() *Member {
	c.t.Helper()
	late := time.After(patience)
	for {
		votes := map[uint64]int{}
		ids := map[uint64]*Member{}
		for _, m := range c.Members {
			if id, leader, err := m.status(); err == nil {
				votes[leader]++
				ids[id] = m
			}
		}
		for leader, n := range votes {
			if m := ids[leader]; m != nil && 2*n > len(c.Members) {
				return m
			}
		}
		select {
		case <-late:
			c.t.Fatalf("waiting for a leader of %s: votes %v", c.Endpoints(), votes)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (m *Member) status() (uint64, uint64, error) {
	if !m.up {
		return 0, 0, fmt.Errorf("%s does not run", m.Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	resp, err := m.Client().Status(ctx, m.Endpoint())
	if err != nil {
		return 0, 0, err
	}
	return resp.Header.MemberId, resp.Leader, nil
}

// Endpoint is the URL that clients dial.
func (m *Member) Endpoint() string { return "http://" + m.place.client }

// Address is the host and port of Endpoint.
func (m *Member) Address() string { return m.place.client }

// Client is one that goes to this member alone.
func (m *Member) Client() *clientv3.Client {
	m.cluster.t.Helper()
	if m.client == nil {
		var err error
		m.client, err = clientv3.New(clientv3.Config{Endpoints: []string{m.Endpoint()}, DialTimeout: patience, Logger: zap.NewNop()})
		if err != nil {
			m.cluster.t.Fatalf("connecting to %s: %v", m.Endpoint(), err)
		}
	}
	return m.client
}

// Start starts a member that was killed, with the data it had. It may not answer
// yet.
func (m *Member) Start() {
	m.cluster.t.Helper()
	if m.up {
		return
	}
	if err := m.process.launch(m.host.Command(m.cluster.program, m.args()...)); err != nil {
		m.cluster.t.Fatalf("starting etcd: %v", err)
	}
	m.up = true
}

// args are those that Debian's 3.4 and today's etcd both know, with what one of
// them takes for granted and the other does not.
func (m *Member) args() []string {
	all := make([]string, len(m.cluster.Members))
	for i, other := range m.cluster.Members {
		all[i] = other.Name + "=http://" + other.place.peer
	}
	return []string{
		"--name", m.Name, "--data-dir", m.place.dir, "--logger", "zap", "--log-level", "error",
		"--pre-vote=true", // the default from 3.5 on
		"--quota-backend-bytes", fmt.Sprint(m.cluster.quota),
		"--listen-client-urls", m.Endpoint(), "--advertise-client-urls", m.Endpoint(),
		"--listen-peer-urls", "http://" + m.place.peer, "--initial-advertise-peer-urls", "http://" + m.place.peer,
		"--initial-cluster", strings.Join(all, ","),
	}
}

// Kill ends the member at once, as a crash does.
func (m *Member) Kill() {
	if m.up {
		m.process.stop()
		m.up = false
	}
}

// Freeze stops the member where it stands, as a host does that hangs.
func (m *Member) Freeze() { m.signal(syscall.SIGSTOP) }

// Thaw lets a frozen member go on.
func (m *Member) Thaw() { m.signal(syscall.SIGCONT) }

func (m *Member) signal(sig syscall.Signal) {
	m.cluster.t.Helper()
	if err := m.process.cmd.Process.Signal(sig); err != nil {
		m.cluster.t.Fatalf("sending %s to etcd: %v", sig, err)
	}
}

// Cut loses every packet from and to the member, without a word to anybody.
func (m *Member) Cut() { m.must(m.host.Cut()) }

// CutPeers loses every packet between the member and the others; clients still
// reach it.
func (m *Member) CutPeers() {
	for _, other := range m.cluster.Members {
		if other != m {
			m.must(m.host.CutFrom(other.host))
		}
	}
}

// Heal ends Cut and CutPeers.
func (m *Member) Heal() { m.must(m.host.Heal()) }

func (m *Member) must(err error) {
	m.cluster.t.Helper()
	if err != nil {
		m.cluster.t.Fatal(err)
	}
}

func (m *Member) end() {
	if m.client != nil {
		_ = m.client.Close()
	}
	m.Kill()
}
