// Package settings owns how a configuration is read: its schema is a set of
// flags, and file, environment and command line are merged into it, with all
// that is wrong named by its place. What the keys are is the programs'; those of
// etcd and of the log are here, because every program has them.
package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Path is the file that is read, absolute.
func (l *Loader) Path() string {
	path := l.File
	if path == "" {
		path = l.program.File
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

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
	case errors.Is(err, os.ErrPermission):
		return nil, cli.Usage(fmt.Errorf("reading the configuration: %w; be root, or let this account read the file", err))
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
