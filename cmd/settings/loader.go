// Package settings owns how a configuration is read: its schema is a set of
// flags, and file, environment and command line are merged into it, with all
// that is wrong named by its place. What the keys are is the programs'; those of
// etcd and of the log are here, because every program has them.
package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// Program is whose configuration is read.
type Program struct {
	Name   string            // "eru-agent"
	File   string            // read if it exists and no other is named
	Former map[string]string // keys that are no more, and what replaces them
}

// Rule says what the value of one key must be, beyond what its flag's type does.
type Rule[C any] struct {
	Key    string
	Want   string
	OK     func(c *C) bool
	Beside string // the key that asks for this one
}

// rule is a Rule of a certain configuration.
type rule struct {
	key, want, beside string
	ok                func() bool
}

// fault is one thing that is wrong with the configuration.
type fault struct {
	where string // agent.yaml:3:13, a variable of the environment, or a flag
	key   string
	got   string // as a person reads it, "" if that says nothing
	want  string
}

func (e *fault) Error() string {
	if e.got == "" {
		return fmt.Sprintf("%s: %s: want %s", e.where, e.key, e.want)
	}
	return fmt.Sprintf("%s: %s: got %s, want %s", e.where, e.key, e.got, e.want)
}

// FileError is a file that the configuration names and that is of no use.
type FileError struct {
	Key string
	Err error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Placed adds to a FileError where its key was set.
func (l *Loader) Placed(err error) error {
	var file *FileError
	if errors.As(err, &file) {
		return cli.Usage(fmt.Errorf("%s: %s: %w", l.where[file.Key], file.Key, file.Err))
	}
	return err
}

// Loader merges file, environment and flags into one schema: flag over
// environment over file.
type Loader struct {
	File string // "" for the program's own, if it exists
	// Fill, if not nil, gives values to keys that have none, before the rules are
	// asked.
	Fill func()

	program Program
	schema  *pflag.FlagSet
	rules   []rule
	where   map[string]string // key -> where its value comes from
	errs    []error
}

// NewLoader returns a Loader that loads into c, to which the flags of schema are
// bound.
func NewLoader[C any](program Program, c *C, schema *pflag.FlagSet, rules []Rule[C]) *Loader {
	l := &Loader{program: program, schema: schema, where: map[string]string{}}
	for _, r := range rules {
		l.rules = append(l.rules, rule{r.Key, r.Want, r.Beside, func() bool { return r.OK(c) }})
	}
	return l
}

// Schema returns the flags, bound to the configuration.
func (l *Loader) Schema() *pflag.FlagSet { return l.schema }

// Where says where the value of key comes from, once it is loaded.
func (l *Loader) Where(key string) string { return l.where[key] }

// Load fills the configuration, or returns all that is wrong with it.
func (l *Loader) Load(env []string) error {
	settings, err := l.readFile()
	if err != nil {
		return err
	}
	variables := l.readEnv(env)
	l.schema.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			l.where[f.Name] = "--" + f.Name
			return
		}
		l.where[f.Name] = "default"
		if s, ok := settings[f.Name]; ok {
			l.set(f, s)
		}
		if s, ok := variables[f.Name]; ok {
			l.set(f, s)
		}
	})
	if l.Fill != nil {
		l.Fill()
	}
	l.check()
	if len(l.errs) > 0 {
		return cli.Usage(errors.Join(l.errs...))
	}
	return nil
}

// set gives one value to one key.
func (l *Loader) set(f *pflag.Flag, s setting) {
	l.where[f.Name] = s.where
	if err := s.apply(f.Value); err != nil {
		l.errs = append(l.errs, &fault{where: s.where, key: f.Name, got: s.text(), want: l.wanted(f)})
	}
}

// wanted says what a flag's type takes.
func (l *Loader) wanted(f *pflag.Flag) string {
	for _, r := range l.rules {
		if r.key == f.Name {
			return r.want
		}
	}
	switch f.Value.Type() {
	case "duration":
		return "a duration, as 5s"
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "stringSlice":
		return "a list, as [a, b]"
	default:
		return "a single value"
	}
}

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

// check holds the merged values against the rules.
func (l *Loader) check() {
	for _, r := range l.rules {
		if r.ok() || l.named(r.key) {
			continue
		}
		where, got := l.where[r.key], l.schema.Lookup(r.key).Value.String()
		if r.beside != "" && where == "default" {
			where = l.where[r.beside]
		}
		if got != "" {
			got = strconv.Quote(got)
		}
		l.errs = append(l.errs, &fault{where: where, key: r.key, got: got, want: r.want})
	}
}

// named says whether something is said of key already.
func (l *Loader) named(key string) bool {
	return slices.ContainsFunc(l.errs, func(err error) bool {
		var e *fault
		return errors.As(err, &e) && e.key == key
	})
}

// readFile reads the file, which may be missing only if it was not named.
func (l *Loader) readFile() (map[string]setting, error) {
	path, optional := l.File, false
	if path == "" {
		path, optional = l.program.File, true
	}
	text, err := os.ReadFile(path)
	switch {
	case optional && errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cli.Usage(fmt.Errorf("reading the configuration: %w", err))
	}
	settings, errs := l.parseYAML(path, text)
	l.errs = append(l.errs, errs...)
	return settings, nil
}

// AddTo gives set the flag --config and those of the schema whose name begins
// with one of the prefixes.
func (l *Loader) AddTo(set *pflag.FlagSet, prefixes ...string) {
	set.SortFlags = false
	set.StringVarP(&l.File, "config", "c", os.Getenv(l.EnvName("config")), "`file` to read (default "+l.program.File+", if it exists)")
	for _, prefix := range prefixes {
		l.schema.VisitAll(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, prefix) {
				set.AddFlag(f)
			}
		})
	}
}
