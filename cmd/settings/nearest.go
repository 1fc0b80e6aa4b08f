package settings

import (
	"cmp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/spelling"
)

// nearest is the key that a misspelt one may have meant, "" if none is near;
// spell writes a key in the way of the misspelt one.
func nearest(key string, schema *pflag.FlagSet, spell func(string) string) string {
	var elsewhere string // the right name in the wrong section
	var spelt []string
	names := map[string]string{}
	schema.VisitAll(func(f *pflag.Flag) {
		if leaf := f.Name[strings.LastIndexByte(f.Name, '.')+1:]; leaf == key && elsewhere == "" {
			elsewhere = f.Name
		}
		word := spell(f.Name)
		spelt = append(spelt, word)
		names[word] = f.Name
	})
	return cmp.Or(elsewhere, names[spelling.Nearest(key, spelt)])
}
