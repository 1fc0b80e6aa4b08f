package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// entries reads an archive: what it says of each path, and what is in it.
func entries(t *testing.T, archive []byte) ([]string, map[string][]byte) {
	t.Helper()
	var list []string
	content := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list, content
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %o %d:%d %s", h.Name, h.Mode, h.Uid, h.Gid, h.ModTime.UTC().Format(time.RFC3339)))
		if content[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImage wants the same bytes of the same files, whatever their own dates and places are, and in them what was asked for.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	pack := func(name string, age time.Duration) []byte {
		t.Helper()
		program := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(program, []byte("#!"), 0o700), os.Chtimes(program, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
		c := newImage()
		c.SetArgs([]string{"--title", "p", "--tag", "p:v1", "--file", "/usr/bin/p=" + program, "--file", "/etc/p=image_test.go", "--dir", "/var/lib/p", "--entrypoint", "/usr/bin/p", "--cmd", "run", program + ".tar"})
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(program + ".tar")
		if err != nil {
			t.Fatal(err)
		}
		return archive
	}
	archive := pack("one", 0)
	if !bytes.Equal(archive, pack("two", time.Hour)) {
		t.Error("the same files make different images")
	}

	_, in := entries(t, archive)
	var list []imageManifest
	var doc imageDocument
	if err := json.Unmarshal(in["manifest.json"], &list); err != nil || len(list) != 1 || !slices.Equal(list[0].RepoTags, []string{"p:v1"}) {
		t.Fatalf("the manifest is %s, %v", in["manifest.json"], err)
	}
	config, layer := in[list[0].Config], in[list[0].Layers[0]]
	if err := json.Unmarshal(config, &doc); err != nil {
		t.Fatalf("the configuration is %s, %v", config, err)
	}
	if doc.Config.User != "12345:12345" || doc.Config.Labels["org.opencontainers.image.title"] != "p" || doc.RootFS.DiffIDs[0] != "sha256:"+sum(layer) || list[0].Config != sum(config)+".json" {
		t.Errorf("the configuration is %s", config)
	}
	if end := make([]byte, 1024); len(layer)%512 != 0 || !bytes.HasSuffix(layer, end) {
		t.Errorf("the layer's %d bytes are no whole archive", len(layer))
	}
	files, _ := entries(t, layer)
	const date = " 1970-01-01T00:00:00Z"
	if want := []string{"var/ 755 0:0", "var/lib/ 755 0:0", "var/lib/p/ 755 12345:12345", "etc/ 755 0:0", "etc/p 644 0:0", "usr/ 755 0:0", "usr/bin/ 755 0:0", "usr/bin/p 755 0:0"}; strings.Join(files, "\n") != strings.Join(want, date+"\n")+date {
		t.Errorf("the layer has\n%s", strings.Join(files, "\n"))
	}

	if err := (&image{}).write(io.Discard, cli.Build{Date: "yesterday"}); err == nil {
		t.Error("a date that is none is taken")
	}
	missing := image{files: []string{"/p=" + filepath.Join(dir, "nothing")}}
	if err := missing.write(io.Discard, cli.Build{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
