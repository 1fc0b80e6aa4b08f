package healthcheck

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/spelling"
)

// LabelPrefix begins every flat label of a check.
const LabelPrefix = "eru.health."

// LabelError is a label that cannot be understood.
type LabelError struct {
	Label string // its name, or the place in ERU_META
	Value string
	Want  string // what was expected
}

// maxValue is how much of a value is shown, in bytes: what was expected has to
// find room beside it in the detail of a status.
const maxValue = 64

// Error is one line that is fit to be shown, whatever the label holds.
func (e *LabelError) Error() string {
	return foreign.Text(e.Label) + "=" + foreign.Quote(e.Value, maxValue) + ": want " + foreign.Text(e.Want)
}

// setting is one value and the label that it came from, for errors.
type setting struct{ value, from string }

// Settings are what one container asks of one Prober: the keys behind
// "eru.health.<kind>.". It remembers which ones were read, so that a label
// nobody knows is found.
type Settings struct {
	kind   string
	values map[string]setting
	read   map[string]bool
	groups []string // prefixes of settings that were read
}

func newSettings(kind string) *Settings {
	return &Settings{kind: kind, values: map[string]setting{}, read: map[string]bool{}}
}

// String returns a setting, or fallback where it is not set.
func (s *Settings) String(key, fallback string) string {
	s.read[key] = true
	if v, ok := s.values[key]; ok {
		return v.value
	}
	return fallback
}

// Has says whether key is set.
func (s *Settings) Has(key string) bool {
	_, ok := s.values[key]
	return ok
}

// Port returns a port number, 0 where it is not set.
func (s *Settings) Port(key string) (uint16, error) {
	ports, err := s.Ports(key)
	if err != nil || len(ports) == 0 {
		return 0, err
	}
	if len(ports) > 1 {
		return 0, s.Errorf(key, "one port")
	}
	return ports[0], nil
}

// Ports returns a list of port numbers, "5001,5002", without duplicates.
func (s *Settings) Ports(key string) ([]uint16, error) {
	list := s.String(key, "")
	if !s.Has(key) {
		return nil, nil
	}
	ports, err := parsePorts(list)
	if err != nil {
		return nil, s.Errorf(key, "%s", err)
	}
	return ports, nil
}

// Bool returns true or false, false where it is not set.
func (s *Settings) Bool(key string) (bool, error) {
	v := s.String(key, "false")
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, s.Errorf(key, "true or false")
	}
	return b, nil
}

// Group returns the settings that begin with prefix, by what follows it.
func (s *Settings) Group(prefix string) map[string]string {
	s.groups = append(s.groups, prefix)
	group := map[string]string{}
	for key, v := range s.values {
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "" {
			s.read[key] = true
			group[name] = v.value
		}
	}
	return group
}

// Errorf returns a *LabelError for key; the text says what was expected.
func (s *Settings) Errorf(key, format string, args ...any) error {
	v, ok := s.values[key]
	if !ok {
		v.from = LabelPrefix + s.kind + "." + key
	}
	return &LabelError{Label: v.from, Value: v.value, Want: fmt.Sprintf(format, args...)}
}

// unread returns the first label, by name, that the Prober did not ask for.
func (s *Settings) unread() error {
	var left []string
	for key := range s.values {
		if !s.read[key] {
			left = append(left, key)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	want := fmt.Sprintf("a label that the %s probe knows", s.kind)
	if near := spelling.Nearest(left[0], s.known(left[0])); near != "" {
		want += ", perhaps " + LabelPrefix + s.kind + "." + near
	}
	return s.Errorf(left[0], "%s", want)
}

// known are the settings that were read, whether set or not, those of groups
// with what follows the first dot of key.
func (s *Settings) known(key string) []string {
	known := sortedKeys(s.read)
	if _, name, ok := strings.Cut(key, "."); ok && name != "" {
		for _, prefix := range s.groups {
			known = append(known, prefix+name)
		}
	}
	return known
}

// MaxPorts bounds the ports of one list.
const MaxPorts = 32

func parsePorts(list string) ([]uint16, error) {
	var ports []uint16
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(word), 10, 16)
		if err != nil || n == 0 {
			return nil, errors.New("ports from 1 to 65535, as in 80,443")
		}
		if slices.Contains(ports, uint16(n)) {
			continue
		}
		if len(ports) == MaxPorts {
			return nil, fmt.Errorf("at most %d ports", MaxPorts)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

func parseDuration(label, value string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		return 0, &LabelError{Label: label, Value: value,
			Want: fmt.Sprintf("a duration from %s to %s, as in 5s", least, most)}
	}
	return d, nil
}
