package cutover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
	shipped "github.com/projecteru2/eru-agent/e2e/proxy"
	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

const root = "../.."

// confd is built once, and only if it is asked for.
var confd = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*rig.Patience)
	defer cancel()
	binary := filepath.Join(filepath.Dir(r.Binary()), "confd")
	return binary, shipped.BuildConfd(ctx, root, binary)
})

// place is where the files of examples/ live in a test.
func place(t *testing.T, n *rig.Node) shipped.Place {
	t.Helper()
	dir, err := os.MkdirTemp("", "eru-proxy-") //nolint:usetesting // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return shipped.Place{Root: root, Dir: dir, Listen: rig.FreeAddress(t), Etcd: "http://" + strings.TrimPrefix(n.Endpoint(), "http://"), Prefix: n.Prefix}
}

// run runs a command as long as the test, and ends it well: a proxy's master that is killed may leave its workers behind.
func run(t *testing.T, c *exec.Cmd) *rig.Process {
	t.Helper()
	p := r.LaunchAs(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = c.Path, c.Args
		if c.Env != nil {
			cmd.Env = c.Env
		}
		if c.SysProcAttr != nil {
			cmd.SysProcAttr = c.SysProcAttr
		}
	})
	t.Cleanup(func() { p.Signal(syscall.SIGTERM); p.Wait() })
	return p
}

// rendered is one of the two proxies that confd makes reload.
type rendered struct {
	*rig.Process

	url, file string // where it is asked, and what confd writes
}

// nginx is that of examples/nginx.
func nginx(t *testing.T, n *rig.Node, binary string) rendered {
	t.Helper()
	p := place(t, n)
	proxy, err := p.NewNginx(binary)
	if err == nil {
		err = proxy.Once(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	process := run(t, proxy.Command())
	run(t, proxy.Watch())
	return rendered{process, "http://" + p.Listen + "/", proxy.Upstream()}
}

// haproxyByConfd is that of examples/confd.
func haproxyByConfd(t *testing.T, n *rig.Node, binary string) rendered {
	t.Helper()
	p := place(t, n)
	proxy, renderer, err := p.NewHAProxyByConfd(binary)
	if err == nil {
		err = renderer.Once(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	process := run(t, proxy.Command())
	run(t, renderer.Watch())
	return rendered{process, "http://" + p.Listen + "/", proxy.File()}
}

// awaitTo returns once requests go to the containers and to no other.
func (p rendered) awaitTo(t *testing.T, c ...*rig.Container) {
	t.Helper()
	client := load.NewHTTP(p.url)
	defer client.Close()
	want := map[string]bool{}
	for _, one := range c {
		want[one.ID[:12]] = true
	}
	rig.Await(t, "requests to go where they should", func() error {
		by := map[string]bool{}
		for range 4 * len(c) {
			answer := client.Ask(t.Context())
			if !want[answer.By] {
				return errors.Join(fmt.Errorf("one was answered by %q", answer.By), answer.Failed)
			}
			by[answer.By] = true
		}
		if len(by) < len(want) {
			return fmt.Errorf("only %d of %d containers get requests", len(by), len(want))
		}
		return nil
	})
}

// lists returns once the file that confd writes has these containers' addresses and no other.
func (p rendered) lists(t *testing.T, c ...*rig.Container) {
	t.Helper()
	want := addresses(c...)
	rig.Await(t, "the file that confd writes", func() error {
		text, err := os.ReadFile(p.file)
		var got []string
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "server" && strings.Contains(line, ":80") {
				got = append(got, strings.TrimSuffix(f[slices.IndexFunc(f, func(s string) bool { return strings.Contains(s, ":80") })], ";"))
			}
		}
		slices.Sort(got)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it has %v, want %v", got, want)
		}
		return err
	})
}

// TestRenderedByConfd runs the files of examples/nginx and examples/confd with real proxies: containers are killed, stopped,
// turned unhealthy one by one and all at once, and no request is lost.
func TestRenderedByConfd(t *testing.T) {
	binary, err := confd()
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func(*testing.T, *rig.Node, string) rendered{"nginx": nginx, "haproxy": haproxyByConfd} {
		t.Run(name, func(t *testing.T) {
			eachEtcd(t, func(t *testing.T, etcd *etcdtest.Server) {
				n := r.Node(t, etcd)
				n.Start().AwaitReady()
				c := shop(n, 4, "--env=TERM=finish", "--label=eru.health.http.path=/healthz")
				p := start(t, n, binary)
				p.awaitTo(t, c...)
				client := load.NewHTTP(p.url)
				defer client.Close()
				l := load.Start(t.Context(), 50, client.Ask)
				p.suffer(t, etcd, c)
				if all := l.Stop(); len(all.Failed()) > 0 || len(all) == 0 {
					t.Errorf("%d of %d requests failed: %s", len(all.Failed()), len(all), all.Why())
				}
			})
		})
	}
}

func (p rendered) suffer(t *testing.T, etcd *etcdtest.Server, c []*rig.Container) {
	t.Helper()
	c[0].Docker("kill")
	p.lists(t, c[1:]...)
	c[1].Docker("stop")
	p.lists(t, c[2:]...)
	p.awaitTo(t, c[2:]...)
	c[2].Behave("sick")
	p.lists(t, c[3])
	c[3].Behave("sick") // the last one, and its check fails: those that ran well stay
	p.lists(t, c[2:]...)
	c[2].Behave("ok") // one after the other, so that each change is seen in the file
	p.lists(t, c[2])
	c[3].Behave("ok")
	p.lists(t, c[2:]...)
	etcd.Stop()
	<-time.After(500 * time.Millisecond)
	p.lists(t, c[2:]...)
	etcd.Restart()
	// Without any key confd renders a set without servers, which the proxy does not take.
	p.awaitTo(t, c[2:]...)
	if err := p.process(); err != nil {
		t.Error(err)
	}
}

// process says whether the proxy still is the one that was started.
func (p rendered) process() error {
	select {
	case <-p.Exited():
		return fmt.Errorf("the proxy has ended: %s", p.Err.String())
	default:
		return nil
	}
}

// eachEtcd runs a test against both kinds of server.
func eachEtcd(t *testing.T, test func(*testing.T, *etcdtest.Server)) {
	t.Helper()
	t.Run("3.7", func(t *testing.T) { test(t, etcdtest.Start(t)) })
	t.Run("3.4", func(t *testing.T) { test(t, etcdtest.StartProcess(t)) })
}
