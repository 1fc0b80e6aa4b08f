package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.uber.org/zap"
)

// copyEvery is how often the copy on disk is written at most.
const copyEvery = time.Second

// copyFormat is the "format" of the copies that this package writes.
const copyFormat = 1

// document is the copy on disk: what a View knows.
type document struct {
	Format   int    `json:"format"`
	Prefix   string `json:"prefix"`
	Scope    Scope  `json:"scope"`
	Revision int64  `json:"revision"`
	// Keys are those below the prefix that are known.
	Keys map[string]copied `json:"keys"`
}

// copied is one key's value as it stands in etcd.
type copied struct {
	Value    json.RawMessage `json:"value"`
	Revision int64           `json:"revision"`
	// In and Left are of a container: it is in the set of its service, or was
	// before and has to be steady first.
	In   bool `json:"in,omitempty"`
	Left bool `json:"left,omitempty"`
}

// parseCopy reads a copy of prefix and scope.
func parseCopy(b []byte, keys layout, scope Scope) (document, error) {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return document{}, fmt.Errorf("decoding a copy: %w", err)
	}
	switch {
	case d.Format != copyFormat:
		return document{}, fmt.Errorf("the copy is of format %d, and %d is known", d.Format, copyFormat)
	case d.Prefix != keys.prefix:
		return document{}, fmt.Errorf("the copy is of prefix %q, and not of %q", d.Prefix, keys.prefix)
	case d.Scope != scope:
		return document{}, fmt.Errorf("the copy is of scope %+v, and not of %+v", d.Scope, scope)
	}
	return d, nil
}

// load begins with what the copy says, if there is one. One that cannot be used
// is set aside.
func (v *View) load(now time.Time) {
	b, err := os.ReadFile(v.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var d document
	if err == nil {
		d, err = parseCopy(b, v.store.keys, v.cfg.Scope)
	}
	if err != nil {
		aside := v.cfg.File + ".aside"
		v.log.Warn("beginning without the copy of what was known, and setting it aside",
			zap.String("file", v.cfg.File), zap.String("to", aside), zap.Error(errors.Join(err, os.Rename(v.cfg.File, aside))))
		return
	}
	v.restore(d, now)
}

func (v *View) restore(d document, now time.Time) {
	l := newListing(d.Revision)
	for key, c := range d.Keys {
		l.add(v.store.keys, v.cfg.Scope, &mvccpb.KeyValue{Key: []byte(v.store.keys.prefix + "/" + key), Value: c.Value, ModRevision: c.Revision})
	}
	changes := v.reading.listed(l, now)
	for _, c := range changes {
		v.machine.change(c, now)
		if c.Put != nil {
			was := d.Keys[strings.TrimPrefix(v.store.keys.container(c.Put.Key), v.store.keys.prefix+"/")]
			v.machine.remember(c.Put.Key, was.In, was.Left)
		}
	}
	v.machine.decide(now)
	v.fromCopy = true
	nudge(v.changed)
}

// document is what the View knows now.
func (v *View) document() document {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys := v.store.keys
	d := document{Format: copyFormat, Prefix: keys.prefix, Scope: v.cfg.Scope, Revision: v.reading.seen, Keys: make(map[string]copied, len(v.reading.raw))}
	for key, s := range v.reading.raw {
		c := copied{Value: s.value, Revision: s.revision}
		if k, err := keys.parse(key); err == nil {
			_, known := v.machine.find(k)
			c.In, c.Left = known.in, known.left
		}
		d.Keys[strings.TrimPrefix(key, keys.prefix+"/")] = c
	}
	return d
}

// keepCopy writes the copy after something has changed, until ctx ends.
func (v *View) keepCopy(ctx context.Context) {
	var failed bool
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-v.unsaved:
		}
		err := v.save()
		if err != nil && !failed {
			v.log.Warn("the copy of what is known cannot be written", zap.String("file", v.cfg.File), zap.Error(err))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(copyEvery):
		}
	}
}

// saveLast writes what has changed since the copy was written.
func (v *View) saveLast() {
	select {
	case <-v.unsaved:
	default:
		return
	}
	if err := v.save(); err != nil {
		v.log.Warn("the last copy of what is known cannot be written", zap.String("file", v.cfg.File), zap.Error(err))
	}
}

// save writes the copy.
func (v *View) save() error {
	b, err := json.Marshal(v.document())
	if err != nil {
		return fmt.Errorf("encoding a copy: %w", err)
	}
	return replace(v.cfg.File, b)
}

// replace writes a file in one step.
func replace(file string, b []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(b)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
