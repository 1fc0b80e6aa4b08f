package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzConfig reads whatever stands in a file: it is read, or each fault bears the file's name.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("../testdata/*.yaml")
	good, err2 := filepath.Glob("../testdata/good/*.yaml")
	if err != nil || err2 != nil || len(files) == 0 {
		f.Fatal(err, err2)
	}
	for _, file := range append(append(files, good...), "../../agent.yaml.example") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var etcd Etcd
		var log Log
		flags := pflag.NewFlagSet("config", pflag.ContinueOnError)
		etcd.Flags(flags, "")
		log.Flags(flags)
		l := NewLoader(Program{Name: "eru-agent"}, &etcd, flags, EtcdRules(func(c *Etcd) *Etcd { return c }))
		settings, errs := l.parseYAML("agent.yaml", text)
		for key, s := range settings {
			if flags.Lookup(key) == nil || !strings.HasPrefix(s.where, "agent.yaml:") {
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
