package chaos

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// step is one thing that happens in a sequence. Its text is "verb", "verb container", "verb argument" or both:
// "pause c1", "run c1 http", "wait 100".
type step struct{ verb, slot, arg string }

func (s step) String() string { return strings.Join(strings.Fields(s.verb+" "+s.slot+" "+s.arg), " ") }

// sequence is a life of a node, begun by what kind of node it is: "with kernel".
type sequence []step

// String is the sequence as replay takes it.
func (q sequence) String() string {
	var all []string
	for _, s := range q {
		all = append(all, s.String())
	}
	return strings.Join(all, "; ")
}

// parse reads the text of a sequence.
func parse(text string) (sequence, error) {
	var all sequence
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		s := step{verb: words[0]}
		v, ok := verbs()[s.verb]
		words = words[1:]
		if ok && v.slot && len(words) > 0 {
			s.slot, words = words[0], words[1:]
		}
		if ok && len(v.args) > 0 && len(words) > 0 {
			s.arg, words = words[0], words[1:]
		}
		if !ok || len(words) > 0 || v.slot != (s.slot != "") || (len(v.args) > 0) != (s.arg != "") {
			return nil, fmt.Errorf("reading step %q: not one of those that there are", strings.TrimSpace(part))
		}
		all = append(all, s)
	}
	return all, nil
}

// slots are the containers of a sequence.
var slots = []string{"c0", "c1", "c2", "c3"}

// draw makes a sequence: what the node is like, some containers, and what happens to them and around them.
func draw(t *rapid.T) sequence {
	var q sequence
	// Where Docker's answers are stale and the kernel does not tell of ends either, only luck would.
	for _, with := range strings.Fields(rapid.SampledFrom([]string{"", "lag", "kernel", "kernel lag", "kernel lag stale"}).Draw(t, "with")) {
		q = append(q, step{verb: "with", arg: with})
	}
	run := verbs()["run"]
	for _, slot := range slots[:rapid.IntRange(1, 3).Draw(t, "containers")] {
		q = append(q, step{"run", slot, rapid.SampledFrom(run.args).Draw(t, "kind")})
	}
	least := rapid.SampledFrom([]int{1, 8, 16, 24}).Draw(t, "least") // left alone, rapid prefers short ones
	return append(q, rapid.SliceOfN(rapid.Custom(drawStep), least, 40).Draw(t, "steps")...)
}

func drawStep(t *rapid.T) step {
	s := step{verb: rapid.SampledFrom(weighted()).Draw(t, "verb")}
	v := verbs()[s.verb]
	if v.slot {
		s.slot = rapid.SampledFrom(slots).Draw(t, "container")
	}
	if len(v.args) > 0 {
		s.arg = rapid.SampledFrom(v.args).Draw(t, "argument")
	}
	return s
}

// verb is a kind of step. Do says whether there was anything to do.
type verb struct {
	weight int
	slot   bool
	args   []string
	do     func(*world, step) bool
}

// weighted names each verb as often as it weighs, the harmless ones first.
func weighted() []string {
	var all []string
	for _, name := range order() {
		for range verbs()[name].weight {
			all = append(all, name)
		}
	}
	return all
}
