package status_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/status"
)

func startsFromCopy(t *testing.T, e *env) {
	cfg := status.ViewConfig{File: filepath.Join(t.TempDir(), "copy.json")}
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateDraining)
	e.put("/status:node/node1", nodeValue)
	proxy := e.proxy()
	v := runView(t, e.store(hasty), cfg)
	v.is("shop/web: c0001 c0002~")
	if v.State().FromCopy {
		t.Error("read from etcd, and from the copy")
	}
	v.stop()
	if info, err := os.Stat(cfg.File); err != nil || info.Mode() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}

	proxy.Cut()
	v = runView(t, e.store(hasty), cfg)
	if v.sets() != "shop/web: c0001 c0002~" || v.Service("shop", "web").Servers[0].Silent {
		t.Errorf("from the copy: %s", v.sets())
	}
	v.until("etcd is away", func() bool { return v.State().Lost != nil })
	if st := v.State(); st.Synced || !st.FromCopy || st.Revision == 0 || v.sets() != "shop/web: c0001 c0002~" {
		t.Errorf("from the copy: %+v, %s", st, v.sets())
	}
	e.delete(path(container(2)))
	e.putStatus(3, status.StateHealthy)
	proxy.Resume()
	v.is("shop/web: c0001 c0003")
	if v.State().FromCopy {
		t.Error("still from the copy")
	}
	v.stop()
	if left, err := filepath.Glob(cfg.File + "*"); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func panicsAcrossRestart(t *testing.T, e *env) {
	cfg := status.ViewConfig{File: filepath.Join(t.TempDir(), "copy.json")}
	for n := range 3 {
		e.putStatus(n, status.StateHealthy)
	}
	v := runView(t, e.store(unhurried), cfg)
	v.is("shop/web: c0000 c0001 c0002")
	e.putStatus(0, status.StateUnhealthy)
	v.is("shop/web: c0000- c0001 c0002")
	v.stop()
	for n := range 3 { // while nobody reads
		e.putStatus(n, status.StateUnhealthy)
	}
	runView(t, e.store(unhurried), cfg).is("panic shop/web: c0000- c0001 c0002")
	runView(t, e.store(unhurried), status.ViewConfig{}).is("panic shop/web: c0000 c0001 c0002")
}

const wellCopied = `{"format":1,"prefix":"/eru","scope":{"app":"shop"},"revision":7,"keys":{
	"status/shop/web/n1/a":{"value":{"running":true,"healthy":true},"revision":5,"in":true},
	"status/shop/web/n1/b":{"value":"what?","revision":6},"nonsense":{"value":1,"revision":-1}}}`

// TestCopyAside holds that a copy which cannot be used is set aside and said so,
// and that one with a part that cannot be read is used.
func TestCopyAside(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"well":            {wellCopied, ""},
		"garbage":         {"\x00\x00\x00", "decoding a copy"},
		"empty":           {"", "decoding a copy"},
		"half of it":      {wellCopied[:len(wellCopied)/2], "decoding a copy"},
		"another prefix":  {strings.Replace(wellCopied, "/eru", "/eru2", 1), `of prefix "/eru2", and not of "/eru"`},
		"another scope":   {strings.Replace(wellCopied, `"shop"}`, `"blog"}`, 1), "of scope {App:blog"},
		"a newer format":  {strings.Replace(wellCopied, `"format":1`, `"format":2`, 1), "of format 2, and 1 is known"},
		"of other things": {`{"a":"b"}`, "of format 0"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "copy.json")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			core, logged := observer.New(zapcore.WarnLevel)
			store := status.NewStore(status.Config{Prefix: "/eru"}, zap.NewNop())
			v := view{View: status.NewView(store, status.ViewConfig{Scope: status.Scope{App: "shop"}, File: file}, zap.New(core))}
			aside, err := os.ReadFile(file + ".aside")
			if tt.want == "" {
				if v.sets() != "shop/web: a" || !v.State().FromCopy || err == nil || v.State().Unreadable["json"] != 1 || v.State().Unreadable["key"] != 1 {
					t.Errorf("%s, %+v, %v", v.sets(), v.State(), err)
				}
				return
			}
			said := logged.All()
			if v.sets() != "" || v.State().FromCopy || err != nil || string(aside) != tt.text || len(said) != 1 {
				t.Fatalf("%s, %+v, %v, set aside %q, said %v", v.sets(), v.State(), err, aside, said)
			}
			if why := said[0].ContextMap()["error"]; !strings.Contains(why.(string), tt.want) || said[0].ContextMap()["file"] != file {
				t.Errorf("said %v, want %q", said[0].ContextMap(), tt.want)
			}
		})
	}
}

// FuzzCopy holds that no copy makes a View panic, and that what a View writes of
// it is read as the same sets.
func FuzzCopy(f *testing.F) {
	f.Add([]byte(wellCopied))
	f.Add([]byte(`{"format":1,"prefix":"/eru","scope":{"app":"shop"},"keys":{"status/shop/web/n1/a":{}}}`))
	f.Add([]byte(`null`))
	scope := status.Scope{App: "shop"}
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := status.ReadCopy(text, scope)
		if err != nil {
			return
		}
		written, err := one.WriteCopy()
		if err != nil {
			t.Fatalf("writing what was read of %q: %v", text, err)
		}
		two, err := status.ReadCopy(written, scope)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if was, is := (&view{View: one}).sets(), (&view{View: two}).sets(); was != is {
			t.Errorf("%q is first %q, then %q", text, was, is)
		}
	})
}
