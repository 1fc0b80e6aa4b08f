package contrib

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/e2e/proxy"
	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// world is an agent with containers, and both kinds of eru-lb with somebody who uses them. Whatever they count has happened
// once: a value that cannot be read, a backend that is not there, a client that refuses.
type world struct {
	t          *testing.T
	containers []*rig.Container
	agent      string   // host:port
	balancers  []string // host:port
}

func newWorld(t *testing.T) *world {
	t.Helper()
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	a := n.Start("--canary.interval", "10s")
	a.AwaitReady()
	w := &world{t: t, agent: a.API()}
	for range 2 {
		w.containers = append(w.containers, n.Run("shop", rig.HTTP, "--env=GRPC=8082", "--label=eru.publish=8082"))
	}
	for _, c := range w.containers {
		c.Await("healthy")
	}
	n.Put("status/shop/web/elsewhere/x", "{")
	place := func() proxy.Place {
		return proxy.Place{Root: "..", Dir: t.TempDir(), Listen: rig.FreeAddress(t), Etcd: n.Endpoint(), Prefix: n.Prefix}
	}
	front := place()
	h := front.NewHAProxy()
	run(t, h.Command())
	run(t, w.balancer().HAProxy(front, h, "shop/web,nobody/web"))
	plane := place()
	run(t, w.balancer().XDS(plane, "shop/web:8082"))
	follow(t, plane.Listen)
	refuse(t, plane.Listen)
	return w
}

// balancer is one more.
func (w *world) balancer() proxy.Balancer {
	at := rig.FreeAddress(w.t)
	w.balancers = append(w.balancers, at)
	return proxy.Balancer{Binary: r.Balancer(), Metrics: at}
}

// flap has a container go to and fro once.
func (w *world) flap() {
	w.t.Helper()
	c := w.containers[0]
	c.Behave("500")
	c.Await("unhealthy")
	c.Behave("ok")
	c.Await("healthy")
}

// exported are the names of all metrics of ours that the programs export now.
func (w *world) exported() (map[string]bool, error) {
	names := map[string]bool{}
	for _, at := range append([]string{w.agent}, w.balancers...) {
		text, err := get(w.t, "http://"+at+"/metrics")
		if err != nil {
			return nil, err
		}
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (eru_\w+) `).FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
	}
	return names, nil
}

// follow has a gRPC client call the service through xDS, until the test ends.
func follow(t *testing.T, plane string) {
	t.Helper()
	x, err := load.NewXDS(plane, load.Insecure, "shop-web")
	if err != nil {
		t.Fatal(err)
	}
	l := load.Start(t.Context(), 5, x.Ask)
	t.Cleanup(func() { l.Stop(); x.Close() })
}

// run runs a command as long as the test, and ends it well: HAProxy's master that is killed may leave its workers behind.
func run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if c.Err != nil {
		t.Fatalf("running %s (make test sets it up): %v", c.Args[0], c.Err)
	}
	p := r.LaunchAs(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = c.Path, c.Args
		if c.Env != nil {
			cmd.Env = c.Env
		}
	})
	t.Cleanup(func() { p.Signal(syscall.SIGTERM); p.Wait() })
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// startPrometheus runs one with the configuration that users are given, whose targets are these programs and whose seconds are
// fewer, and returns its URL.
func (w *world) startPrometheus() string {
	w.t.Helper()
	dir := w.t.TempDir()
	quoted := `"` + strings.Join(w.balancers, `", "`) + `"`
	shorter := strings.NewReplacer(`"node1:12345"`, `"`+w.agent+`"`, `"edge1:12346"`, quoted, "15s", "1s")
	for from, to := range map[string]string{"prometheus/prometheus.yml.example": "prometheus.yml", rulesFile: filepath.Base(rulesFile)} {
		text, err := os.ReadFile(from)
		if err != nil {
			w.t.Fatal(err)
		}
		if to == "prometheus.yml" {
			text = []byte(shorter.Replace(string(text)))
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	at := rig.FreeAddress(w.t)
	run(w.t, exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--log.level=warn"))
	return "http://" + at
}
