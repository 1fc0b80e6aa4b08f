package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig reads whatever stands in a file: it is read, or each fault bears the file's name.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	good, err2 := filepath.Glob("testdata/good/*.yaml")
	if err != nil || err2 != nil {
		f.Fatal(err, err2)
	}
	for _, file := range append(append(files, good...), "../agent.yaml.example") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l := newLoader()
		settings, errs := parseYAML("agent.yaml", text, l.schema)
		for key, s := range settings {
			if l.schema.Lookup(key) == nil || !strings.HasPrefix(s.where, "agent.yaml:") {
				t.Errorf("key %q from %q", key, s.where)
			}
		}
		for _, err := range errs {
			if !strings.HasPrefix(err.Error(), "agent.yaml:") {
				t.Errorf("%v", err)
			}
		}
	})
}
