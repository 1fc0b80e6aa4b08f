package watcher

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// The tests of this file run containers in a real Docker.

// realDocker is a Docker with an image of e2e/web, whose containers and
// networks go away with the test.
type realDocker struct {
	*fixture
	image, label string
	n            int
}

func newRealDocker(t *testing.T) *realDocker {
	t.Helper()
	t.Parallel() // they wait, mostly
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		t.Fatalf("this test needs a Docker Engine that answers (scripts/setup starts one): %v: %s", err, bytes.TrimSpace(out))
	}
	unique := fmt.Sprintf("watchertest-%d-%d", os.Getpid(), time.Now().UnixNano())
	endpoint := os.Getenv("DOCKER_HOST")
	if endpoint == "" {
		endpoint = "unix:///var/run/docker.sock"
	}
	core, logs := observer.New(zapcore.InfoLevel)
	w := New(Config{Endpoint: endpoint, Select: []string{"watchertest=" + unique}}, zap.New(core), NewMetrics(prometheus.NewRegistry()))
	d := &realDocker{fixture: &fixture{T: t, w: w, logs: logs, finish: func() {}, told: map[string]Event{}}, image: unique, label: "watchertest=" + unique}
	d.build()
	t.Cleanup(d.clean)
	d.run()
	d.until(Synced, "")
	return d
}

func (d *realDocker) build() {
	d.Helper()
	binary := filepath.Join(d.TempDir(), "web")
	build := exec.Command("go", "build", "-o", binary, "../e2e/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		d.Fatalf("building e2e/web: %v: %s", err, out)
	}
	program, err := os.ReadFile(binary)
	d.must(err)
	var image bytes.Buffer
	archive := tar.NewWriter(&image)
	d.must(archive.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(program))}))
	_, err = archive.Write(program)
	d.must(err)
	d.must(archive.Close())
	load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/web"]`, "-", d.image)
	load.Stdin = &image
	if out, err := load.CombinedOutput(); err != nil {
		d.Fatalf("importing the image: %v: %s", err, out)
	}
}

func (d *realDocker) clean() {
	for _, kind := range []string{"container", "network"} {
		list := []string{kind, "ls", "-q", "--filter", "label=" + d.label}
		if kind == "container" {
			list = append(list, "-a")
		}
		for _, id := range strings.Fields(d.docker(list...)) {
			if kind == "container" {
				d.docker("rm", "-f", id)
			} else {
				d.docker("network", "rm", id)
			}
		}
	}
	d.docker("rmi", d.image)
}

func (d *realDocker) docker(args ...string) string {
	d.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		d.Errorf("docker %q: %v: %s", args, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// start runs a container and returns its ID.
func (d *realDocker) start(options ...string) string {
	d.Helper()
	d.n++
	args := append([]string{"run", "-d", "--label", d.label, "--name", fmt.Sprintf("%s-%d", d.image, d.n)}, options...)
	return d.docker(append(args, d.image)...)
}

// network makes a network that goes away with the test.
func (d *realDocker) network(name string, options ...string) string {
	d.Helper()
	name = d.image + "-" + name
	d.docker(append(append([]string{"network", "create", "--label", d.label}, options...), name)...)
	return name
}

// truth is what docker inspect says.
func (d *realDocker) truth(id string) (int, time.Time, map[string]string) {
	d.Helper()
	var info []struct {
		State struct {
			Pid       int
			StartedAt time.Time
		}
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	d.must(json.Unmarshal([]byte(d.docker("inspect", id)), &info))
	addresses := map[string]string{}
	for name, n := range info[0].NetworkSettings.Networks {
		addresses[name] = n.IPAddress
	}
	return info[0].State.Pid, info[0].State.StartedAt, addresses
}

// lives expects that the container runs as docker inspect says.
func (d *realDocker) lives(id, network string) Container {
	d.Helper()
	c := d.expect(Running, id).Container
	pid, started, addresses := d.truth(id)
	if c.Pid != pid || !c.Started.Equal(started) {
		d.Errorf("process %d of %v, want %d of %v", c.Pid, c.Started, pid, started)
	}
	if network != "" && text(c.Addr) != addresses[network] {
		d.Errorf("address %s, want one of %v", text(c.Addr), addresses)
	}
	return c
}

// ends expects an exit with this code, perhaps after the kernel's word. Docker
// tells of a signal after it was sent: the kernel may be first even there.
func (d *realDocker) ends(id string, life Container, code int) {
	d.Helper()
	e := d.until(Exited, id)
	if !e.Exit.Known {
		e = d.expect(Exited, id)
	}
	if !e.Exit.Known || e.Exit.Code != code || !e.Container.Started.Equal(life.Started) {
		d.Errorf("exit %+v of %v, want code %d of %v", e.Exit, e.Container.Started, code, life.Started)
	}
}

func TestRealLife(t *testing.T) {
	d := newRealDocker(t)
	id := d.start("--network", "bridge", "-p", "80", "-p", "127.0.0.1::81", "--stop-timeout", "7", "-e", "TERM=linger:200ms")
	c := d.lives(id, "bridge")
	if c.StopTimeout != 7*time.Second || len(c.Published) != 1 || c.Published[80].Addr() != netip.IPv4Unspecified() {
		t.Errorf("%+v", c)
	}
	d.docker("kill", "-s", "CONT", id) // tells nothing
	d.docker("pause", id)
	if c := d.lives(id, "bridge"); !c.Paused {
		t.Error("not paused")
	}
	d.docker("unpause", id)
	if c := d.lives(id, "bridge"); c.Paused {
		t.Error("paused")
	}
	d.docker("rename", id, d.image+"-renamed")
	if c := d.lives(id, "bridge"); c.Name != d.image+"-renamed" {
		t.Errorf("name %q", c.Name)
	}
	d.docker("stop", id)
	if e := d.expect(Stopping, id); e.Signal != syscall.SIGTERM {
		t.Errorf("signal %v", e.Signal)
	}
	d.ends(id, c, 0)
	d.docker("start", id)
	second := d.lives(id, "bridge")
	d.docker("restart", id)
	d.expect(Stopping, id)
	d.ends(id, second, 0)
	third := d.lives(id, "bridge")
	if third.Started.Equal(second.Started) {
		t.Error("the same life")
	}
	d.docker("kill", id)
	d.ends(id, third, 137)
	d.docker("start", id)
	d.lives(id, "bridge")
	d.docker("rm", "-f", id)
	d.until(Removed, id)
	if n := testutil.ToFloat64(d.w.metrics.corrections); n != 0 {
		t.Errorf("%v corrections", n)
	}
	if n := d.said("no pidfd"); n != 0 {
		t.Errorf("no pidfd; log: %v", d.logs.All())
	}
}

// A process that ends by itself is told of by the kernel, then by Docker.
func TestRealDeath(t *testing.T) {
	d := newRealDocker(t)
	id := d.start("--restart", "always")
	c := d.lives(id, "bridge")
	d.must(syscall.Kill(c.Pid, syscall.SIGKILL))
	d.ends(id, c, 137)
	if next := d.lives(id, "bridge"); next.Pid == c.Pid || next.Started.Equal(c.Started) {
		t.Errorf("the same life: %+v", next)
	}
	d.docker("rm", "-f", id)
	d.until(Removed, id)
	if n := d.said("no pidfd"); n != 0 {
		t.Errorf("no pidfd; log: %v", d.logs.All())
	}
}

func TestRealStopSignal(t *testing.T) {
	d := newRealDocker(t)
	// Both are ignored by the program, so that Docker's word is first.
	for name, want := range map[string]syscall.Signal{"SIGRTMIN+3": 37, "WINCH": syscall.SIGWINCH} {
		id := d.start("--stop-signal", name)
		d.until(Running, id)
		d.docker("kill", "-s", strconv.Itoa(int(want)), id)
		if e := d.expect(Stopping, id); e.Signal != want {
			t.Errorf("%s: signal %d, want %d", name, e.Signal, want)
		}
		d.docker("rm", "-f", id)
		d.until(Removed, id)
	}
}

func TestRealNetworks(t *testing.T) {
	d := newRealDocker(t)
	web, aaa := d.network("web"), d.network("aaa")
	id := d.start("--network", web, "--label", labelNetwork+"="+aaa)
	if c := d.expect(Running, id).Container; c.Addr.IsValid() || c.NoAddr == "" || len(c.Networks) != 1 {
		t.Errorf("%+v", c)
	}
	d.docker("network", "connect", aaa, id)
	if c := d.lives(id, aaa); len(c.Networks) != 2 {
		t.Errorf("networks %v", c.Networks)
	}
	d.docker("network", "disconnect", web, id)
	if c := d.lives(id, aaa); len(c.Networks) != 1 {
		t.Errorf("networks %v", c.Networks)
	}
	six := d.network("six", "--ipv6", "--subnet", "fd5e:e2e:7::/64")
	seven := d.start("--network", six, "--network-alias", "seven")
	if c := d.lives(seven, six); len(c.Networks) != 1 {
		t.Errorf("%+v", c)
	}
	byID := d.start("--network", d.docker("network", "inspect", "-f", "{{.Id}}", web))
	d.lives(byID, web)
	none := d.start("--network", "none")
	if c := d.lives(none, ""); c.Addr.IsValid() || !strings.Contains(c.NoAddr, `"none"`) {
		t.Errorf("%+v", c)
	}
	host := d.start("--network", "host", "-e", "PORTS=0", "-e", "CONTROL=off")
	if c := d.lives(host, ""); !c.Host || c.Addr != loopback {
		t.Errorf("%+v", c)
	}
}

func TestRealSharedNetwork(t *testing.T) {
	d := newRealDocker(t)
	target := d.start("-e", "CONTROL=off")
	d.lives(target, "bridge")
	sharer := d.start("--network", "container:"+d.image+"-1", "-e", "PORTS=8080", "-e", "CONTROL=off")
	d.awaitAddress(sharer, d.address(target))
	other := d.start("-e", "CONTROL=off") // takes the address that becomes free
	d.until(Running, other)
	d.docker("stop", target)
	d.awaitAddress(sharer, "")
	third := d.start("-e", "CONTROL=off")
	d.until(Running, third)
	d.docker("start", target)
	d.awaitAddress(sharer, d.address(target))
	d.docker("rm", "-f", target)
	d.awaitAddress(sharer, "")
}

// awaitAddress waits until the container has this address.
func (d *realDocker) awaitAddress(id, address string) {
	d.Helper()
	for {
		if text(d.until(Running, id).Container.Addr) == address {
			return
		}
	}
}

// address is that on the default bridge.
func (d *realDocker) address(id string) string {
	d.Helper()
	_, _, addresses := d.truth(id)
	return addresses["bridge"]
}

// What runs before the agent does is found.
func TestRealStart(t *testing.T) {
	d := newRealDocker(t)
	running, dead := d.start(), d.start()
	d.docker("stop", dead)
	created := d.docker("create", "--label", d.label, d.image)
	d.finish()
	d.run()
	told, listed := map[string]Kind{}, map[string]bool{}
	for e := d.next(); e.Kind != Synced; e = d.next() { // what came shortly before may be told before the listing
		if told[e.ID] = e.Kind; e.Kind == Listed {
			listed = e.Present
		}
	}
	_, there := listed[dead] // Docker may go on listing it as running for a while
	if !listed[running] || !there || len(listed) != 2 {
		t.Errorf("present: %v", listed)
	}
	if told[running] != Running || told[dead] != Exited {
		t.Errorf("told: %v", told)
	}
	d.docker("start", created)
	d.lives(created, "bridge")
}
