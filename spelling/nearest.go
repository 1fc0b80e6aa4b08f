// Package spelling guesses which known word a misspelt one may have meant: a key
// of the configuration, a label. It leaves to others which words are known, and
// imports nothing of ours, so that every package can ask it.
package spelling

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

const (
	// maxEdits is how many letters may be wrong in a long word.
	maxEdits = 3
	// maxWord bounds, in bytes, what is compared: others may write the word.
	maxWord = 256
)

// Nearest is the known word that the fewest edits make of word, whatever its
// case; of equally near ones the first. It is "" if none is near.
func Nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, least := "", min(maxEdits, len(word)/3+1)+1 // a short word is near to every other
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}
