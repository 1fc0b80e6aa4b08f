package haproxy

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/projecteru2/eru-agent/lb"
)

// unread are the backends of which nothing is remembered yet.
func (o *Outlet) unread() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var backends []string
	for _, route := range o.cfg.Routes {
		if _, ok := o.known[route.Backend]; !ok {
			backends = append(backends, route.Backend)
		}
	}
	return backends
}

// keep remembers what the state file is to say of a backend.
func (o *Outlet) keep(backend, header string, rows []row) {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r.text + "\n")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.header, o.known[backend] = cmp.Or(header, o.header), b.String()
}

// save writes the file from which the next HAProxy takes up its servers, if it
// is to say anything new. It says it in HAProxy's own words.
func (o *Outlet) save() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cfg.StateFile == "" || o.header == "" {
		return nil
	}
	var b strings.Builder
	b.Grow(len(o.written))
	b.WriteString(o.header)
	for _, route := range o.cfg.Routes {
		b.WriteString(o.known[route.Backend])
	}
	text := b.String()
	if text == o.written {
		return nil
	}
	if err := replace(o.cfg.StateFile, text); err != nil {
		return &lb.Beside{Err: faultf(whyFile, "writing HAProxy's state file: %w", err)}
	}
	o.written = text
	return nil
}

// replace puts text in the place of a file, in one step. HAProxy reads it as
// another user, if it is told to become one before.
func replace(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	if e := temp.Chmod(0o644); err == nil {
		err = e
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
