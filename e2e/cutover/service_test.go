package cutover

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestUnderWay cuts a container that hangs in the middle of a request: nothing new is begun there, and the request is
// answered once the container goes on.
func TestUnderWay(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 3)
	p := startProxy(t)
	startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	c[0].Behave("hang")
	answers := make(chan error, len(c))
	for range c { // in turn each of them gets one
		go func() { answers <- post(p.url()) }()
	}
	for range c[1:] {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	p.awaitIn(c[1:]...)
	select {
	case err := <-answers:
		t.Errorf("the third was answered already: %v", err)
	default:
	}
	c[0].Docker("kill", "--signal=CONT")
	if err := <-answers; err != nil {
		t.Error(err)
	}
}

// post makes a request that no proxy may repeat.
func post(url string) error {
	client := http.Client{Timeout: rig.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(url, "text/plain", http.NoBody)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it was answered with %s", resp.Status)
	}
	return nil
}

// TestLeastRights runs eru-lb as an etcd user who may do what docs/proxies.md says and nothing else.
func TestLeastRights(t *testing.T) {
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	n.Start().AwaitReady()
	c := shop(n, 1)
	grant(t, etcd, n.Prefix)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("of eru-reader\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t)
	b := startBalancer(t, n, p, "--etcd.username", "eru-reader", "--etcd.password_file", file).awaitReady()
	p.awaitIn(c...)
	b.awaitMetric("eru_lb_etcd_synced 1")
	own, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}, Username: "eru-reader", Password: "of eru-reader", DialTimeout: rig.Patience})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Put(t.Context(), n.Prefix+"/status/shop/web/n/x", "{}"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("it may write a status: %v", err)
	}
	rig.Await(t, "the reader's record", func() error {
		resp, err := own.Get(t.Context(), n.Prefix+"/reader/edge")
		if err == nil && len(resp.Kvs) == 0 {
			err = fmt.Errorf("nothing stands there")
		}
		return err
	})
}

// grant does to an etcd what docs/proxies.md says, under another prefix.
func grant(t *testing.T, etcd *etcdtest.Server, prefix string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	ctx, client := t.Context(), etcd.Client()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rights := map[string]clientv3.PermissionType{"read": clientv3.PermissionType(clientv3.PermRead), "readwrite": clientv3.PermissionType(clientv3.PermReadWrite)}
	found := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] != "etcdctl" || !slices.Contains(words, "eru-reader"):
			continue // or of another user
		case slices.Equal(words[1:3], []string{"role", "add"}):
			_, err = client.RoleAdd(ctx, words[3])
		case slices.Equal(words[1:3], []string{"role", "grant-permission"}):
			key := strings.Replace(words[6], "/eru", prefix, 1)
			_, err = client.RoleGrantPermission(ctx, words[3], key, clientv3.GetPrefixRangeEnd(key), rights[words[5]])
		case slices.Equal(words[1:3], []string{"user", "add"}):
			_, err = client.UserAdd(ctx, words[3], "of eru-reader")
		case slices.Equal(words[1:3], []string{"user", "grant-role"}):
			_, err = client.UserGrantRole(ctx, words[3], words[4])
		default:
			t.Fatalf("this test does not know %q", line)
		}
		do(err)
		found++
	}
	if found != 6 {
		t.Fatalf("docs/proxies.md has %d commands", found)
	}
	_, err = client.UserAdd(ctx, etcdtest.Root, etcdtest.RootPassword)
	do(err)
	_, err = client.RoleAdd(ctx, etcdtest.Root)
	do(err)
	_, err = client.UserGrantRole(ctx, etcdtest.Root, etcdtest.Root)
	do(err)
	_, err = client.AuthEnable(ctx)
	do(err)
}

// TestSystemd listens as systemd does: it is told what eru-lb waits for, that it is ready, and again and again that it lives,
// until its loop does not.
func TestSystemd(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 1)
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startProxy(t)
	p.crash()
	b := &balancer{t: t, Process: r.LaunchAs(t, func(cmd *exec.Cmd) {
		cmd.Path = r.Balancer()
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=1000000")
	}, "haproxy", "--services", "shop/web", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix, "--haproxy.socket", p.socket(),
		"--haproxy.state_file", p.state(), "--state_dir", p.dir, "--metrics.addr", "127.0.0.1:0")}
	told(t, l, "STATUS=waiting: asking HAProxy: ")
	p.start()
	told(t, l, "READY=1\nSTATUS=ready")
	p.awaitIn(c...)
	told(t, l, "WATCHDOG=1")
	b.Signal(syscall.SIGHUP) // does nothing
	told(t, l, "WATCHDOG=1")
	b.Signal(syscall.SIGTERM)
	if code := b.Wait(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	same(t, p, c...)
}

// told returns once systemd is told something that begins so.
func told(t *testing.T, l *net.UnixConn, beginning string) {
	t.Helper()
	_ = l.SetReadDeadline(time.Now().Add(rig.Patience))
	buf := make([]byte, 4096)
	for {
		size, err := l.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v", beginning, err)
		}
		if strings.HasPrefix(string(buf[:size]), beginning) {
			return
		}
	}
}
