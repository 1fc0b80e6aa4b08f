package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// HAProxy is that of examples/haproxy, or one whose configuration was made of it.
type HAProxy struct {
	Socket string // its runtime socket
	State  string // its state file

	file, dir, listen string
}

// Sample is the configuration that users are given, in the repository.
const Sample = "examples/haproxy/haproxy.cfg"

// NewHAProxy runs the sample as it is.
func (p Place) NewHAProxy() *HAProxy { return p.haproxy(filepath.Join(p.Root, Sample)) }

func (p Place) haproxy(file string) *HAProxy {
	return &HAProxy{Socket: filepath.Join(p.Dir, "admin.sock"), State: filepath.Join(p.Dir, "haproxy.state"), file: file, dir: p.Dir, listen: p.Listen}
}

// NewHAProxyOf runs the sample with other backends in the place of its own;
// requests go to the first.
func (p Place) NewHAProxyOf(backends ...string) (*HAProxy, error) {
	text, err := os.ReadFile(filepath.Join(p.Root, Sample))
	if err != nil {
		return nil, fmt.Errorf("reading the sample: %w", err)
	}
	return p.write(text, backends)
}

// NewHAProxyWithout is NewHAProxyOf without what the sample has for requests that
// a server did not answer: they are sent to the same server again, as HAProxy does
// when nobody tells it otherwise.
func (p Place) NewHAProxyWithout(backends ...string) (*HAProxy, error) {
	text, err := os.ReadFile(filepath.Join(p.Root, Sample))
	if err != nil {
		return nil, fmt.Errorf("reading the sample: %w", err)
	}
	var kept []byte
	for line := range bytes.Lines(text) {
		words := string(bytes.TrimSpace(line))
		if !strings.HasPrefix(words, "option redispatch") && !strings.HasPrefix(words, "retry-on") && !strings.HasPrefix(words, "http-request disable-l7-retry") {
			kept = append(kept, line...)
		}
	}
	return p.write(kept, backends)
}

// write writes the sample with other backends.
func (p Place) write(text []byte, backends []string) (*HAProxy, error) {
	before, _, found := bytes.Cut(text, []byte("\nbackend shop-web\n"))
	if !found {
		return nil, fmt.Errorf("reading %s: it has no backend shop-web", Sample)
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(backends[0], "backend "), "\n")
	before = bytes.ReplaceAll(before, []byte("default_backend shop-web"), []byte("default_backend "+name))
	h := p.haproxy(filepath.Join(p.Dir, "haproxy.cfg"))
	if err := os.WriteFile(h.file, append(before, "\n"+strings.Join(backends, "\n")+"\n"...), 0o600); err != nil {
		return nil, fmt.Errorf("writing HAProxy's configuration: %w", err)
	}
	return h, nil
}

// NewHAProxyByConfd lays the files of examples/confd; binary is confd.
func (p Place) NewHAProxyByConfd(binary string) (*HAProxy, Confd, error) {
	h := p.haproxy(filepath.Join(p.Dir, "haproxy.cfg"))
	c := Confd{binary: binary, dir: filepath.Join(p.Dir, "confd"), etcd: p.Etcd}
	const from = "examples/confd/"
	return h, c, p.lay([]string{"/etc/haproxy/", p.Dir + "/", "/run/", p.Dir + "/"}, map[string]string{
		"confd/conf.d/haproxy.toml":        from + "conf.d/haproxy.toml",
		"confd/templates/haproxy.cfg.tmpl": from + "templates/haproxy.cfg.tmpl",
	})
}

// Command runs HAProxy in the foreground, as its systemd unit does. SIGUSR2
// makes it reload.
func (h *HAProxy) Command() *exec.Cmd {
	c := exec.Command("haproxy", "-W", "-db", "-f", h.file, "-S", filepath.Join(h.dir, "haproxy-master.sock"))
	c.Env = append(os.Environ(), "HAPROXY_SOCKET="+h.Socket, "HAPROXY_STATE="+h.State, "HAPROXY_BIND="+h.listen)
	return c
}

// File is its configuration.
func (h *HAProxy) File() string { return h.file }

// askWithin bounds one answer of the runtime socket.
const askWithin = 2 * time.Second

// Ask gives a command to the runtime socket and returns the answer.
func (h *HAProxy) Ask(ctx context.Context, command string) (string, error) {
	conn, err := (&net.Dialer{Timeout: askWithin}).DialContext(ctx, "unix", h.Socket)
	if err != nil {
		return "", fmt.Errorf("asking HAProxy: %w", err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.SetDeadline(time.Now().Add(askWithin))
	if err == nil {
		_, err = io.WriteString(conn, command+"\n")
	}
	answer, readErr := io.ReadAll(conn)
	if err = errors.Join(err, readErr); err != nil {
		return "", fmt.Errorf("asking HAProxy for %q: %w", command, err)
	}
	return string(answer), nil
}

// Worker is the number of the process that serves; a reload changes it.
func (h *HAProxy) Worker(ctx context.Context) (string, error) {
	text, err := h.Ask(ctx, "show info")
	_, rest, _ := strings.Cut(text, "\nPid: ")
	pid, _, _ := strings.Cut(rest, "\n")
	if err == nil && pid == "" {
		err = errors.New("asking HAProxy for its process: there is none in what it says")
	}
	return pid, err
}
