// Package proxy owns how tests and measurements run real proxies: the files that
// users are given, moved to a folder and an address of their own, the commands,
// and what a proxy says of its servers. That a command is started and ends is
// for who runs it.
package proxy

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Place is where a proxy lives instead of where its files say.
type Place struct {
	Root   string // of the repository
	Dir    string // for all that the proxy reads and writes
	Listen string // host:port of its frontend
	Etcd   string // URL
	Prefix string // of etcd
}

// lay writes files of the repository into the place, as name -> file, with the
// paths and addresses in them moved there.
func (p Place) lay(moves []string, files map[string]string) error {
	host, port, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return fmt.Errorf("reading the address of a proxy: %w", err)
	}
	moved := strings.NewReplacer(append(moves,
		"listen 80;", fmt.Sprintf("listen %s:%s;", host, port), "bind :80", "bind "+p.Listen,
		`prefix = "/eru"`, fmt.Sprintf("prefix = %q", p.Prefix))...)
	for name, from := range files {
		text, err := os.ReadFile(filepath.Join(p.Root, from))
		if err != nil {
			return fmt.Errorf("reading a proxy's file: %w", err)
		}
		to := filepath.Join(p.Dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("making a place for a proxy: %w", err)
		}
		if err := os.WriteFile(to, []byte(moved.Replace(string(text))), 0o644); err != nil {
			return fmt.Errorf("writing a proxy's file: %w", err)
		}
	}
	return nil
}
