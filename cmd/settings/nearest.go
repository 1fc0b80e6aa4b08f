package settings

import (
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"
)

// nearest is the key that a misspelt one may have meant, "" if none is near;
// spell writes a key in the way of the misspelt one.
func nearest(key string, schema *pflag.FlagSet, spell func(string) string) string {
	best, least := "", min(4, len(key)/2+2) // a short word is near to every other
	schema.VisitAll(func(f *pflag.Flag) {
		d := levenshtein.ComputeDistance(key, spell(f.Name))
		if leaf := f.Name[strings.LastIndexByte(f.Name, '.')+1:]; leaf == key {
			d = 0 // the right name in the wrong section
		}
		if d < least {
			best, least = f.Name, d
		}
	})
	return best
}
