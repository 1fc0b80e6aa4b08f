package trail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// NotFoundError says that nothing is remembered of a container.
type NotFoundError struct {
	Word string
	Near []string // names that are like it, the likest first
}

// Error is one line.
func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("looking for container %q on this node: none is called so or has an ID that begins so", e.Word)
	if len(e.Near) > 0 {
		text += "; perhaps " + strings.Join(e.Near, ", ")
	}
	return text
}

// AmbiguousError says that a word means several containers.
type AmbiguousError struct {
	Word  string
	Means []string // name and ID of each
}

// Error is one line.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("looking for container %q on this node: it means %d; give more of the ID of one: %s", e.Word, len(e.Means), strings.Join(e.Means, ", "))
}

// Find returns the container that word means: by ID, else by name, else by how
// its ID begins; one that is there before one that is gone. The error is a
// *NotFoundError or an *AmbiguousError.
func (t *Trail) Find(word string) (Container, error) {
	l, err := t.find(word)
	if err != nil {
		return Container{}, err
	}
	c := l.read()
	c.Facts = l.facts()
	return c, nil
}

func (t *Trail) find(word string) (*Line, error) {
	present := t.all()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	gone := slices.DeleteFunc(slices.Clone(t.gone), func(l *Line) bool { return now.Sub(l.removed) > KeepGone })
	slices.Reverse(gone) // of several with one name the last one is meant
	for _, lines := range [][]*Line{present, gone} {
		for _, means := range []func(*Line) bool{
			func(l *Line) bool { return l.id == word },
			func(l *Line) bool { return l.name == word },
			func(l *Line) bool { return word != "" && strings.HasPrefix(l.id, word) },
		} {
			fit := slices.DeleteFunc(slices.Clone(lines), func(l *Line) bool { return !means(l) })
			if len(fit) == 1 || len(fit) > 1 && !fit[0].removed.IsZero() {
				return fit[0], nil
			}
			if len(fit) > 1 {
				return nil, ambiguous(word, fit)
			}
		}
	}
	return nil, &NotFoundError{Word: word, Near: nearest(word, present)}
}

func ambiguous(word string, fit []*Line) error {
	e := &AmbiguousError{Word: word}
	for _, l := range fit {
		e.Means = append(e.Means, fmt.Sprintf("%s (%.12s)", l.name, l.id))
	}
	slices.Sort(e.Means)
	return e
}

// maxNear is how many names are offered in the place of one that nobody has.
const maxNear = 3

// nearest are the names that are like word: those of which it is a part, else
// those that few edits make of it.
func nearest(word string, lines []*Line) []string {
	type near struct {
		name string
		far  int
	}
	word = word[:min(len(word), 128)] // longer than any name, and this is work for whoever asks
	var all []near
	for _, l := range lines {
		far := levenshtein.ComputeDistance(word, l.name)
		if word != "" && strings.Contains(l.name, word) {
			far = 0
		}
		if far <= len(word)/3+1 {
			all = append(all, near{l.name, far})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(a.far-b.far, strings.Compare(a.name, b.name)) })
	var names []string
	for _, n := range all[:min(len(all), maxNear)] {
		names = append(names, n.name)
	}
	return slices.Compact(names)
}
