package plan

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// List is a flag that is a list with commas between.
func List[T any](f *flag.FlagSet, name, usage string, into *[]T, value []T, read func(string) (T, error)) {
	*into = value
	words := strings.Trim(strings.ReplaceAll(fmt.Sprint(value), " ", ","), "[]")
	f.Func(name, usage+" (default "+words+")", func(text string) error {
		*into = nil
		for word := range strings.SplitSeq(text, ",") {
			v, err := read(word)
			if err != nil {
				return err
			}
			*into = append(*into, v)
		}
		return nil
	})
}

// Among reads one of some words.
func Among(words []string) func(string) (string, error) {
	return func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
		}
		return s, nil
	}
}

// Count reads a number of something.
func Count(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n < 1 {
		err = fmt.Errorf("%d: want at least 1", n)
	}
	return n, err
}
