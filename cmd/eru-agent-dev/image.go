package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// imageUser is the number of the user, and of the group, that programs in images run as: there is no /etc/passwd. It is not
// one that many images have: with the host's PID namespace the agent could touch the processes of its neighbours.
const imageUser = 12345

// image is one FROM scratch, of one layer.
type image struct {
	title             string
	tags, files, dirs []string
	config            imageConfig
}

// imageConfig and what is around it are Docker's image specification 1.2, in which `docker load` reads images.
type imageConfig struct {
	User       string            `json:",omitempty"`
	Env        []string          `json:",omitempty"`
	Entrypoint []string          `json:",omitempty"`
	Cmd        []string          `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

type imageDocument struct {
	Architecture string      `json:"architecture"`
	OS           string      `json:"os"`
	Created      time.Time   `json:"created"`
	Config       imageConfig `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []imageHistory `json:"history"`
}

type imageHistory struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

type imageManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// newImage makes images without a builder: builders date what they make with the time of day, and not each has the same
// cache and frontend. What this writes is decided by what goes in, to the last byte.
func newImage() *cobra.Command {
	var i image
	c := &cobra.Command{
		Use: "image ARCHIVE", Short: "Write an image FROM scratch, for docker load, that is dated as the commit is", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return i.writeFile(args[0], cli.ReadBuild()) },
	}
	f := c.Flags()
	f.StringVar(&i.title, "title", "", "`name` of what is in it")
	f.StringArrayVar(&i.tags, "tag", nil, "`name:tag` of the image")
	f.StringArrayVar(&i.files, "file", nil, "`path[=from]` in the image, and the file that it is a copy of")
	f.StringArrayVar(&i.dirs, "dir", nil, "`path` of a directory that is the user's")
	f.StringArrayVar(&i.config.Entrypoint, "entrypoint", nil, "`program` that it runs")
	f.StringArrayVar(&i.config.Cmd, "cmd", nil, "`argument` if none is given")
	return c
}

func (i *image) writeFile(name string, b cli.Build) error {
	var archive bytes.Buffer
	if err := i.write(&archive, b); err != nil {
		return fmt.Errorf("making image %q: %w", name, err)
	}
	return os.WriteFile(name, archive.Bytes(), 0o644) //nolint:gosec // for everybody to load
}

// write writes the layer, what it is, and a list of both.
func (i *image) write(w io.Writer, b cli.Build) error {
	date, err := committed(b)
	if err != nil {
		return err
	}
	layer, err := i.layer(date)
	if err != nil {
		return err
	}
	i.config.User = fmt.Sprintf("%d:%d", imageUser, imageUser)
	i.config.Env = []string{"PATH=/usr/sbin:/usr/bin"} // for docker exec
	const label = "org.opencontainers.image."
	i.config.Labels = map[string]string{
		label + "title": i.title, label + "version": b.Version, label + "revision": b.Commit, label + "created": date.Format(time.RFC3339),
		label + "source": "https://github.com/projecteru2/eru-agent",
	}
	doc := imageDocument{
		Architecture: runtime.GOARCH, OS: "linux", Created: date, Config: i.config,
		History: []imageHistory{{Created: date, CreatedBy: "eru-agent-dev image"}},
	}
	doc.RootFS.Type, doc.RootFS.DiffIDs = "layers", []string{"sha256:" + sum(layer)}
	config, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	m := imageManifest{Config: sum(config) + ".json", RepoTags: i.tags, Layers: []string{sum(layer) + "/layer.tar"}}
	manifest, err := json.Marshal([]imageManifest{m})
	if err != nil {
		return err
	}
	t := newTree(w, date)
	t.add(m.Layers[0], 0o644, layer)
	t.add(m.Config, 0o644, config)
	t.add("manifest.json", 0o644, manifest)
	return t.close()
}

// layer is what the image has for a root, in order of its paths.
func (i *image) layer(date time.Time) ([]byte, error) {
	from := map[string]string{}
	for _, file := range i.files {
		to, source, other := strings.Cut(file, "=")
		if !other {
			source = to
		}
		from[path.Clean(to)] = source
	}
	var layer bytes.Buffer
	t := newTree(&layer, date)
	for _, dir := range i.dirs {
		t.parents(path.Clean(dir))
		t.dir(path.Clean(dir), imageUser)
	}
	for _, to := range slices.Sorted(maps.Keys(from)) {
		content, err := os.ReadFile(from[to])
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(from[to])
		if err != nil {
			return nil, err
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		t.parents(to)
		t.add(to, mode, content)
	}
	err := t.close() // writes, too
	return layer.Bytes(), err
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
