package settings

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// setting is a value on its way to a flag: one word, or a list of any number.
type setting struct {
	where string
	words []string
	list  bool
}

func (s setting) text() string {
	if s.list {
		return "a list"
	}
	return strconv.Quote(s.words[0])
}

func (s setting) apply(v pflag.Value) error {
	many, ok := v.(pflag.SliceValue)
	switch {
	case ok != s.list:
		return errors.New("a list where there is to be one value, or the reverse")
	case ok:
		return many.Replace(s.words)
	default:
		return v.Set(s.words[0])
	}
}

// readEnv finds the variables of the program's. One that is no key is an error,
// because it would be lost in silence.
func (l *Loader) readEnv(env []string) map[string]setting {
	keys := map[string]string{}
	l.schema.VisitAll(func(f *pflag.Flag) { keys[l.EnvName(f.Name)] = f.Name })
	found := map[string]setting{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, l.EnvName("")) || name == l.EnvName("config") {
			continue
		}
		key, ok := keys[name]
		if !ok {
			want := "the name of a key, as " + l.EnvName("etcd.endpoints")
			if near := nearest(name, l.schema, l.EnvName); near != "" {
				want = "a known key, perhaps " + l.EnvName(near)
			}
			l.errs = append(l.errs, &fault{where: "environment", key: name, want: want})
			continue
		}
		s := setting{where: name, words: []string{value}}
		if l.schema.Lookup(key).Value.Type() == "stringSlice" {
			s.words, s.list = splitList(value), true
		}
		found[key] = s
	}
	return found
}

// EnvName is the variable of the environment that sets key.
func (l *Loader) EnvName(key string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(l.program.Name + "." + key))
}

func splitList(value string) []string {
	words := []string{}
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
