package settings

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// WriteExample writes a configuration file with every key at its default, made
// from the schema itself, below an introduction. needed are values for keys that
// have no default and cannot be left out.
func (l *Loader) WriteExample(w io.Writer, introduction string, needed map[string]string) error {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("# This file is generated: make docs.\n")
	var open []string
	l.schema.VisitAll(func(f *pflag.Flag) {
		parts := strings.Split(f.Name, ".")
		open = openSections(&b, open, parts[:len(parts)-1])
		indent := strings.Repeat("  ", len(parts)-1)
		_, text := pflag.UnquoteUsage(f)
		line := exampleLine(parts[len(parts)-1], f)
		if value := needed[f.Name]; value != "" {
			line = parts[len(parts)-1] + ": " + value
		}
		fmt.Fprintf(&b, "%s# %s\n%s%s\n", indent, text, indent, line)
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// openSections writes the headings of the sections that path has and open has
// not; a key that has no default does not count as the content of one, so its
// heading is commented out with it.
func openSections(b *strings.Builder, open, path []string) []string {
	if len(path) == 0 || strings.Join(open, ".") == strings.Join(path, ".") {
		if len(path) == 0 {
			b.WriteByte('\n')
		}
		return path
	}
	for i, part := range path {
		if i < len(open) && open[i] == part {
			continue
		}
		if i == 0 {
			b.WriteByte('\n')
		}
		comment := ""
		if part == "tls" {
			comment = "# "
		}
		fmt.Fprintf(b, "%s%s%s:\n", strings.Repeat("  ", i), comment, part)
	}
	return path
}

func exampleLine(key string, f *pflag.Flag) string {
	switch {
	case f.Name == "projections":
		return "# " + key + ": [traefik,skydns]"
	case f.Name == "selfmon.control":
		return "# " + key + ": [10.0.0.1:22]"
	case f.Value.Type() == "stringSlice" && f.DefValue == "[]":
		return "# " + key + ": [key=value]"
	case f.DefValue == "":
		return "# " + key + ": \"\""
	default:
		return key + ": " + f.DefValue
	}
}
