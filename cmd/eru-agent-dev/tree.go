package main

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"
	"time"
)

// tree writes an archive, each directory before what is in it. It keeps the first error.
type tree struct {
	w    *tar.Writer
	date time.Time
	made map[string]bool
	err  error
}

func newTree(w io.Writer, date time.Time) *tree {
	return &tree{w: tar.NewWriter(w), date: date, made: map[string]bool{"/": true, ".": true}}
}

func (t *tree) parents(name string) {
	if dir := path.Dir(name); !t.made[dir] {
		t.parents(dir)
		t.dir(dir, 0)
	}
}

func (t *tree) dir(name string, owner int) {
	t.made[name] = true
	t.header(tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: 0o755, Uid: owner, Gid: owner})
}

func (t *tree) add(name string, mode int64, content []byte) {
	t.header(tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(content))})
	if t.err == nil {
		_, t.err = t.w.Write(content)
	}
}

func (t *tree) header(h tar.Header) {
	if t.err == nil {
		h.ModTime, h.Format = t.date, tar.FormatPAX
		t.err = t.w.WriteHeader(&h)
	}
}

func (t *tree) close() error { return errors.Join(t.err, t.w.Close()) }
