package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// WriteExample writes a configuration file with every key at its default, made
// from the schema itself.
func WriteExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# The configuration of eru-agent, with every key at its default; all of it may be
# left out. Each key is also a flag of "eru-agent run" and a variable of the
# environment: etcd.prefix is --etcd.prefix and ERU_AGENT_ETCD_PREFIX.
# Check a file with "eru-agent check-config FILE".
# This file is generated: make docs.
`)
	var open []string
	new(config).flags().VisitAll(func(f *pflag.Flag) {
		parts := strings.Split(f.Name, ".")
		open = openSections(&b, open, parts[:len(parts)-1])
		indent := strings.Repeat("  ", len(parts)-1)
		_, text := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "%s# %s\n%s%s\n", indent, text, indent, exampleLine(parts[len(parts)-1], f))
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
	case f.Value.Type() == "stringSlice" && f.DefValue == "[]":
		return "# " + key + ": [key=value]"
	case f.DefValue == "":
		return "# " + key + ": \"\""
	default:
		return key + ": " + f.DefValue
	}
}
