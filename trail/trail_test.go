package trail_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/trail"
)

// known returns a trail that knows web, whose ID begins with abc.
func known() (*trail.Trail, *trail.Line) {
	t := trail.New()
	return t, add(t, "abc123", "web")
}

func add(t *trail.Trail, id, name string) *trail.Line {
	l := t.Line(id)
	l.Understood(trail.Identity{Name: name, App: name, Entrypoint: "main"}, func() trail.Facts { return trail.Facts{Why: "because of " + name} })
	return l
}

func find(t *testing.T, tr *trail.Trail, word string) trail.Container {
	t.Helper()
	c, err := tr.Find(word)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func probe(pass bool, reason string, ms int) trail.Verdict {
	return trail.Verdict{Name: "http :80/", Detail: "it is so", Probe: trail.Probe{At: time.Now(), Pass: pass, Reason: reason,
		Phases: trail.Phases{Connect: time.Millisecond, Write: 2 * time.Millisecond, FirstByte: 3 * time.Millisecond, Total: time.Duration(ms) * time.Millisecond}}}
}

func TestProbesAreTheLastOnes(t *testing.T) {
	tr, l := known()
	for i := range trail.MaxProbes + 25 {
		l.Probed(probe(i%2 == 0, map[bool]string{false: "timeout"}[i%2 == 0], i))
	}
	c := find(t, tr, "web")
	if len(c.Probes) != trail.MaxProbes || len(c.Verdicts) != trail.MaxVerdicts {
		t.Fatalf("%d probes and %d verdicts, want %d and %d", len(c.Probes), len(c.Verdicts), trail.MaxProbes, trail.MaxVerdicts)
	}
	for i, p := range c.Probes {
		want := probe((i+25)%2 == 0, map[bool]string{false: "timeout"}[(i+25)%2 == 0], i+25).Probe
		if p.Phases != want.Phases || p.Pass != want.Pass || p.Reason != want.Reason {
			t.Fatalf("probe %d is %+v, want %+v", i, p, want)
		}
	}
	if last := c.Verdicts[trail.MaxVerdicts-1]; last.Total != (trail.MaxProbes+24)*time.Millisecond || last.Detail != "it is so" {
		t.Errorf("the last verdict is %+v", last)
	}
}

func TestVerdictsAreChanges(t *testing.T) {
	tr, l := known()
	void := probe(false, "starved", 1)
	void.Void = true
	other := probe(false, "timeout", 1)
	other.Name = "tcp :81"
	for _, v := range []trail.Verdict{
		probe(true, "", 1), probe(true, "", 2), probe(false, "timeout", 3), probe(false, "timeout", 4), other,
		probe(false, "http_code", 5), void, probe(true, "", 6),
	} {
		l.Probed(v)
	}
	var got []string
	for _, v := range find(t, tr, "web").Verdicts {
		got = append(got, strings.TrimSpace(fmt.Sprint(v.Pass, " ", v.Reason, " ", v.Name)))
	}
	want := []string{"true  http :80/", "false timeout http :80/", "false timeout tcp :81", "false http_code http :80/", "false starved http :80/", "true  http :80/"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWhatEtcdTakes(t *testing.T) {
	tr, l := known()
	l.Stepped(trail.Step{To: "starting", Inherited: true})
	second := l.Stepped(trail.Step{From: "starting", To: "healthy"})
	third := l.Stepped(trail.Step{From: "healthy", To: "unhealthy", Reason: "timeout"})
	fourth := l.Stepped(trail.Step{From: "unhealthy", To: "healthy"})
	tr.Published("abc123", third, trail.Publication{Revision: 7})
	show := func() []string {
		var got []string
		for _, s := range find(t, tr, "web").Steps {
			got = append(got, fmt.Sprintf("%s %d %t", s.To, s.Published.Revision, s.Overtaken))
		}
		return got
	}
	if want := []string{"starting 0 false", "healthy 0 true", "unhealthy 7 false", "healthy 0 false"}; !slices.Equal(show(), want) {
		t.Errorf("got  %q\nwant %q", show(), want)
	}
	tr.Published("abc123", fourth, trail.Publication{Revision: 9})
	tr.Published("abc123", fourth, trail.Publication{Revision: 12}) // written again, over somebody else's
	tr.Published("nobody", second, trail.Publication{Revision: 13})
	if got := find(t, tr, "web"); got.Last().Published.Revision != 9 || got.Published.Revision != 12 {
		t.Errorf("the last step was taken at %d and the newest value at %d, want 9 and 12", got.Last().Published.Revision, got.Published.Revision)
	}
	l.Stepped(trail.Step{From: "healthy", To: "stopped"})
	tr.Remove("abc123")
	tr.Published("abc123", 0, trail.Publication{Revision: 14, Deleted: true})
	if got := find(t, tr, "web"); !got.Published.Deleted || !got.Last().Overtaken {
		t.Errorf("after the deletion: %+v, last %+v", got.Published, got.Last())
	}
}

func TestMovesAreOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, l := known()
		l.Stepped(trail.Step{To: "starting", Detected: time.Now()})
		elapse(trail.KeepMoves / 2)
		l.Stepped(trail.Step{From: "starting", To: "healthy", Detected: time.Now()})
		l.Stepped(trail.Step{From: "healthy", To: "healthy", Reason: "only the words", Detected: time.Now()})
		elapse(trail.KeepMoves/2 + time.Second)
		moves := tr.Moves()
		if len(moves) != 1 || moves[0].To != "healthy" || moves[0].Name != "web" || moves[0].App != "web" || moves[0].ID != "abc123" {
			t.Errorf("the moves of the last hour are %+v", moves)
		}
		for range trail.MaxMoves + 10 {
			l.Stepped(trail.Step{From: "a", To: "b", Detected: time.Now()})
		}
		if n := len(tr.Moves()); n != trail.MaxMoves {
			t.Errorf("%d moves are kept, want %d", n, trail.MaxMoves)
		}
	})
}

func TestRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, l := known()
		l.Probed(probe(true, "", 1))
		tr.Remove("abc123")
		tr.Remove("abc123")
		if c := find(t, tr, "web"); c.Removed.IsZero() || c.Facts.Why != "because of web" || len(c.Probes) != 1 {
			t.Errorf("what is left is %+v", c)
		}
		elapse(time.Second)
		add(tr, "abd456", "web")
		if c := find(t, tr, "web"); c.ID != "abd456" {
			t.Error("the one that is gone is found before the one that is there")
		}
		if c := find(t, tr, "abc"); c.ID != "abc123" {
			t.Error("an ID of one that is gone is not found")
		}
		elapse(trail.KeepGone)
		if _, err := tr.Find("abc"); err == nil {
			t.Error("it is found after its time")
		}
		for i := range trail.MaxGone + 10 {
			id := fmt.Sprintf("x%03d", i)
			add(tr, id, "same")
			tr.Remove(id)
		}
		if _, err := tr.Find("x009"); err == nil {
			t.Error("more are remembered than is bounded")
		}
		if c := find(t, tr, "same"); c.ID != fmt.Sprintf("x%03d", trail.MaxGone+9) {
			t.Errorf("of several that are gone %q is found, want the last one", c.ID)
		}
		find(t, tr, "x010")
	})
}

func TestFind(t *testing.T) {
	tr, _ := known()
	add(tr, "abd456", "api")
	add(tr, "fed", "abd4")
	for word, want := range map[string]string{"abc123": "abc123", "web": "abc123", "abc": "abc123", "abd4": "fed", "abd45": "abd456"} {
		if c := find(t, tr, word); c.ID != want {
			t.Errorf("%q is %q, want %q", word, c.ID, want)
		}
	}
	for word, want := range map[string]string{
		"ab":    `looking for container "ab" on this node: it means 2; give more of the ID of one: api (abd456), web (abc123)`,
		"wob":   `looking for container "wob" on this node: none is called so or has an ID that begins so; perhaps web`,
		"eb":    `looking for container "eb" on this node: none is called so or has an ID that begins so; perhaps web`,
		"other": `looking for container "other" on this node: none is called so or has an ID that begins so`,
		"":      `looking for container "" on this node: none is called so or has an ID that begins so`,
	} {
		if _, err := tr.Find(word); err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", word, err, want)
		}
	}
	var missing *trail.NotFoundError
	if _, err := tr.Find("wob"); !errors.As(err, &missing) || !slices.Equal(missing.Near, []string{"web"}) {
		t.Errorf("near wob are %v", missing)
	}
}

func TestChanged(t *testing.T) {
	tr, l := known()
	for name, do := range map[string]struct {
		do   func()
		news bool
	}{
		"a probe":      {func() { l.Probed(probe(true, "", 1)) }, false},
		"a step":       {func() { l.Stepped(trail.Step{To: "healthy"}) }, true},
		"a write":      {func() { tr.Published("abc123", 1, trail.Publication{Revision: 1}) }, true},
		"a stranger's": {func() { tr.Published("nobody", 1, trail.Publication{Revision: 1}) }, false},
	} {
		changed := tr.Changed()
		do.do()
		select {
		case <-changed:
			if !do.news {
				t.Error(name, "is told as a change")
			}
		default:
			if do.news {
				t.Error(name, "is not told")
			}
		}
	}
}

// TestReasonsAreFew holds that a prober that makes up words cannot fill the memory.
func TestReasonsAreFew(t *testing.T) {
	tr, l := known()
	for i := range 1000 {
		l.Probed(probe(false, fmt.Sprint("word ", i), 1))
	}
	l.Probed(probe(false, "word 7", 1))
	c := find(t, tr, "web")
	if last := c.Probes[len(c.Probes)-1].Reason; last != "word 7" {
		t.Errorf("a word that was heard early is %q", last)
	}
	if late := c.Probes[len(c.Probes)-2].Reason; late != "other" {
		t.Errorf("a word too many is %q, want other", late)
	}
}

// TestTogether is for the race detector: all may be called at once.
func TestTogether(t *testing.T) {
	tr, l := known()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				_, _ = tr.Find("web")
				_ = tr.Containers()
				_ = tr.Moves()
			}
		})
	}
	for i := range 500 {
		l.Probed(probe(i%2 == 0, "", 1))
		tr.Published("abc123", l.Stepped(trail.Step{From: "a", To: "b"}), trail.Publication{})
		add(tr, "other", "other")
		tr.Remove("other")
	}
	all.Wait()
	if got := tr.Containers(); len(got) != 1 || got[0].Name != "web" || got[0].Facts.Why != "" {
		t.Errorf("there are %+v", got)
	}
}

// elapse lets d go by on the bubble's clock.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}
