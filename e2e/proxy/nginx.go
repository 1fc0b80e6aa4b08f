package proxy

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Nginx is that of examples/nginx, with confd beside it.
type Nginx struct {
	Confd
	dir string
}

// NewNginx lays its files and confd's; binary is confd.
func (p Place) NewNginx(binary string) (*Nginx, error) {
	n := &Nginx{dir: p.Dir, Confd: Confd{binary: binary, dir: filepath.Join(p.Dir, "confd"), etcd: p.Etcd}}
	const from = "examples/nginx/"
	err := p.lay([]string{"/etc/nginx/", p.Dir + "/", "/run/", p.Dir + "/", "/var/log/nginx/", p.Dir + "/"}, map[string]string{
		"nginx.conf":                         from + "nginx.conf",
		"confd/conf.d/shop-web.toml":         from + "confd/conf.d/shop-web.toml",
		"confd/templates/shop-web.conf.tmpl": from + "confd/templates/shop-web.conf.tmpl",
	})
	if err == nil {
		err = os.MkdirAll(filepath.Join(p.Dir, "eru"), 0o755)
	}
	return n, err
}

// Command runs nginx in the foreground. confd has to have run once before. End it
// with SIGTERM: its workers outlive a master that is killed.
func (n *Nginx) Command() *exec.Cmd {
	c := exec.Command("nginx", "-c", filepath.Join(n.dir, "nginx.conf"), "-e", filepath.Join(n.dir, "error.log"), "-g", "daemon off;")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return c
}

// Upstream is the file that confd writes.
func (n *Nginx) Upstream() string { return filepath.Join(n.dir, "eru", "shop-web.conf") }
