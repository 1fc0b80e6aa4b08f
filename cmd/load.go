package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/status"
)

const envPrefix = "ERU_AGENT_"

func validNode(s string) bool { return status.ValidName(s) }

// configError is one thing that is wrong with the configuration.
type configError struct {
	where string // agent.yaml:3:13, a variable of the environment, or a flag
	key   string
	got   string // as a person reads it, "" if that says nothing
	want  string
}

func (e *configError) Error() string {
	if e.got == "" {
		return fmt.Sprintf("%s: %s: want %s", e.where, e.key, e.want)
	}
	return fmt.Sprintf("%s: %s: got %s, want %s", e.where, e.key, e.got, e.want)
}

// fileError is a file that the configuration names and that is of no use.
type fileError struct {
	key string
	error
}

func (e *fileError) Unwrap() error { return e.error }

// placed adds to a fileError where its key was set.
func (l *loader) placed(err error) error {
	var file *fileError
	if errors.As(err, &file) {
		return usage(fmt.Errorf("%s: %s: %w", l.where[file.key], file.key, file.error))
	}
	return err
}

// loader merges file, environment and flags into one schema: flag over
// environment over file.
type loader struct {
	file   string // "" for the default one, if it exists
	cfg    *config
	schema *pflag.FlagSet
	where  map[string]string // key -> where its value comes from
	errs   []error
}

func newLoader() *loader {
	l := &loader{cfg: &config{}, where: map[string]string{}}
	l.schema = l.cfg.flags()
	return l
}

// load returns the configuration, or all that is wrong with it.
func (l *loader) load(env []string) (*config, error) {
	settings, err := l.readFile()
	if err != nil {
		return nil, err
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
	if l.cfg.node == "" {
		l.cfg.node, _ = os.Hostname()
	}
	l.check()
	if len(l.errs) > 0 {
		return nil, usage(errors.Join(l.errs...))
	}
	return l.cfg, nil
}

// set gives one value to one key.
func (l *loader) set(f *pflag.Flag, s setting) {
	l.where[f.Name] = s.where
	if err := s.apply(f.Value); err != nil {
		l.errs = append(l.errs, &configError{where: s.where, key: f.Name, got: s.text(), want: wanted(f)})
	}
}

// wanted says what a flag's type takes.
func wanted(f *pflag.Flag) string {
	for _, r := range rules() {
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

// readEnv finds the variables of the agent's. One that is no key is an error,
// because it would be lost in silence.
func (l *loader) readEnv(env []string) map[string]setting {
	keys := map[string]string{}
	l.schema.VisitAll(func(f *pflag.Flag) { keys[envName(f.Name)] = f.Name })
	found := map[string]setting{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envName("config") {
			continue
		}
		key, ok := keys[name]
		if !ok {
			want := "the name of a key, as " + envName("etcd.endpoints")
			if near := nearest(name, l.schema, envName); near != "" {
				want = "a known key, perhaps " + envName(near)
			}
			l.errs = append(l.errs, &configError{where: "environment", key: name, want: want})
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

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
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
func (l *loader) check() {
	for _, r := range rules() {
		if r.ok(l.cfg) || l.named(r.key) {
			continue
		}
		where, got := l.where[r.key], l.schema.Lookup(r.key).Value.String()
		if r.beside != "" && where == "default" {
			where = l.where[r.beside]
		}
		if got != "" {
			got = strconv.Quote(got)
		}
		l.errs = append(l.errs, &configError{where: where, key: r.key, got: got, want: r.want})
	}
}

// named says whether something is said of key already.
func (l *loader) named(key string) bool {
	return slices.ContainsFunc(l.errs, func(err error) bool {
		var e *configError
		return errors.As(err, &e) && e.key == key
	})
}

// readFile reads the file, which may be missing only if it was not named.
func (l *loader) readFile() (map[string]setting, error) {
	path, optional := l.file, false
	if path == "" {
		path, optional = defaultConfig, true
	}
	text, err := os.ReadFile(path)
	switch {
	case optional && errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, usage(fmt.Errorf("reading the configuration: %w", err))
	}
	settings, errs := parseYAML(path, text, l.schema)
	l.errs = append(l.errs, errs...)
	return settings, nil
}

// addFlags gives set those flags of the schema whose name begins with prefix.
func addFlags(set, schema *pflag.FlagSet, prefix string) {
	schema.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, prefix) {
			set.AddFlag(f)
		}
	})
}
