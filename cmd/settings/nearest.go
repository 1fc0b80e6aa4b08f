package settings

import (
	"strings"

	"github.com/spf13/pflag"
)

// nearest is the key that a misspelt one may have meant, "" if none is near;
// spell writes a key in the way of the misspelt one.
func nearest(key string, schema *pflag.FlagSet, spell func(string) string) string {
	best, least := "", min(4, len(key)/2+2) // a short word is near to every other
	schema.VisitAll(func(f *pflag.Flag) {
		d := distance(key, spell(f.Name))
		if leaf := f.Name[strings.LastIndexByte(f.Name, '.')+1:]; leaf == key {
			d = 0 // the right name in the wrong section
		}
		if d < least {
			best, least = f.Name, d
		}
	})
	return best
}

// distance counts the edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
