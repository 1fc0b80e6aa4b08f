package cmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/projecteru2/eru-agent/status"
)

// stage is a screen without a terminal, and what it is told.
type stage struct {
	t   *testing.T
	box *inbox
	*screen
}

// newStage shows the fleet of fleet() and wishes().
func newStage(t *testing.T, o statusOptions, p paint) *stage {
	t.Helper()
	box := newInbox()
	s := &stage{t, box, newScreen(o, box, p, now)}
	v := fleet()
	for _, e := range v.Containers {
		box.change(status.Change{Put: &e}, now)
	}
	for _, n := range v.Nodes {
		box.change(status.Change{NodeUp: &n}, now)
	}
	box.drains(wishes())
	box.vigil(status.Vigil{Monitor: &status.Monitor{Node: "n1"}, Silences: map[string]status.Silence{"n3": {Since: now}}})
	box.change(status.Change{Synced: true}, now)
	s.Update(frame(now))
	return s
}

// lines are what is seen; none may be wider than the screen, nor may there be more
// of them than it has.
func (s *stage) lines() []string {
	s.t.Helper()
	lines := strings.Split(s.View().Content, "\n")
	if len(lines) != s.height {
		s.t.Errorf("%d lines on a screen of %d", len(lines), s.height)
	}
	for _, line := range lines {
		if ansi.StringWidthWc(line) > s.width || !utf8.ValidString(line) {
			s.t.Errorf("a line of %d columns on a screen of %d: %q", ansi.StringWidthWc(line), s.width, line)
		}
	}
	return lines
}

func (s *stage) text() string { return strings.Join(s.lines(), "\n") }

func (s *stage) press(keys ...string) {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd}
	for _, key := range keys {
		switch code, ok := special[key]; {
		case key == "space":
			s.Update(tea.KeyPressMsg{Code: tea.KeySpace, Text: " "})
		case ok:
			s.Update(tea.KeyPressMsg{Code: code})
		case strings.HasPrefix(key, "ctrl+"):
			s.Update(tea.KeyPressMsg{Code: rune(key[5]), Mod: tea.ModCtrl})
		default:
			for _, r := range key {
				s.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
	}
}

// apps are those of the rows in sight.
func (s *stage) apps() string {
	var apps []string
	for _, r := range s.inSight() {
		apps = append(apps, r.Key.App)
	}
	return strings.Join(apps, ",")
}

func TestLiveScreen(t *testing.T) {
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 200, Height: 24}, {Width: 30, Height: 8}} {
		s := newStage(t, statusOptions{}, plain)
		s.Update(size)
		golden(t, fmt.Sprintf("live-%d", size.Width), strings.Join(trimmed(s.lines()), "\n")+"\n")
	}
	s := newStage(t, statusOptions{}, coloured)
	golden(t, "live-colour", strings.Join(s.lines(), "\n")+"\n")
	s.press("?")
	golden(t, "live-help", strings.Join(trimmed(s.lines()), "\n")+"\n")
	s.press("x")
	if strings.Contains(s.text(), "type a filter") {
		t.Error("a key does not end the help")
	}
}

func trimmed(lines []string) []string {
	for i := range lines {
		lines[i] = strings.TrimRight(ansi.Strip(lines[i]), " ")
	}
	return lines
}

// TestLiveSizes draws on every small screen.
func TestLiveSizes(t *testing.T) {
	s := newStage(t, statusOptions{}, coloured)
	for width := 1; width < 130; width += 3 {
		for height := 1; height < 30; height++ {
			s.Update(tea.WindowSizeMsg{Width: width, Height: height})
			s.lines()
		}
	}
}

func TestLiveFilter(t *testing.T) {
	const all = "api,api,café-über,shop,shop,shop,zoo,zoo,zoo,zoo"
	for _, test := range []struct{ typed, want string }{
		{"", all},
		{"shop", "shop,shop,shop"},
		{"SHOP n2", "shop"},
		{"state:healthy", "café-über,shop"},
		{"node:n3", "shop"},
		{"app:ZO state:dr", "zoo,zoo"},
		{"443", "zoo"},
		{"über", "café-über"},
		{"4123", "api"},
		{"http_code", "shop"},
		{"other:shop", ""},
		{"nobody", ""},
	} {
		s := newStage(t, statusOptions{}, plain)
		s.press("/", test.typed, "enter")
		if got := s.apps(); got != test.want {
			t.Errorf("%q shows %q, want %q", test.typed, got, test.want)
		}
		if n := strings.Count(s.text(), "nothing to show"); n == 1 != (test.want == "") {
			t.Errorf("%q says %d times that there is nothing", test.typed, n)
		}
		s.press("esc")
		if got := s.apps(); got != all {
			t.Errorf("after Esc it shows %q", got)
		}
	}
	for o, want := range map[statusOptions]string{
		{app: "api"}:                         "api,api",
		{node: "n3"}:                         "shop",
		{state: "healthy"}:                   "café-über,shop",
		{app: "zoo", node: "n2"}:             "",
		{app: "zoo", state: "draining"}:      "zoo,zoo",
		{app: "zoo", state: "s", node: "n1"}: "",
	} {
		if got := newStage(t, o, plain).apps(); got != want {
			t.Errorf("%+v shows %q, want %q", o, got, want)
		}
	}
}

// TestLiveTyping edits the filter: what would be commands is text there.
func TestLiveTyping(t *testing.T) {
	s := newStage(t, statusOptions{}, plain)
	s.press("/", "q?s ü€", "backspace", "backspace")
	if s.typed != "q?s " || !strings.HasSuffix(s.text(), "/q?s _") {
		t.Errorf("typed: %q, the last line: %q", s.typed, s.lines()[23])
	}
	s.press("ctrl+u", "shop", "enter", "/", "x", "esc")
	if got := s.apps(); s.typed != "shop" || got != "shop,shop,shop" {
		t.Errorf("taken back: %q, %q", s.typed, got)
	}
	s.press("/", "backspace", "backspace", "backspace", "backspace", "backspace")
	s.Update(tea.PasteMsg{Content: "\x1b[31mzoo\u202e\n\xff"})
	if s.typed != "?[31mzoo? ?" {
		t.Errorf("pasted: %q", s.typed)
	}
	s.Update(tea.PasteMsg{Content: strings.Repeat("x", 300)})
	if len(s.typed) > maxTyped {
		t.Errorf("%d bytes are taken", len(s.typed))
	}
}

func TestLiveSort(t *testing.T) {
	s := newStage(t, statusOptions{}, plain)
	for _, want := range []string{
		"shop,zoo,shop,zoo,zoo,zoo,api,api,café-über,shop", // lost, invalid, unhealthy, two draining, paused, starting, stopped, two healthy
		"api,café-über,zoo,zoo,zoo,zoo,shop,api,shop,shop", // the newest first
		"api,api,café-über,shop,zoo,zoo,zoo,zoo,shop,shop", // n1, n2, n3
		"api,api,café-über,shop,shop,shop,zoo,zoo,zoo,zoo",
	} {
		s.press("s")
		if got := s.apps(); got != want {
			t.Errorf("by %s: %q, want %q", s.board.sort.by, got, want)
		}
	}
	s.press("r")
	if got, want := s.apps(), "zoo,zoo,zoo,zoo,shop,shop,shop,café-über,api,api"; got != want || !strings.Contains(s.text(), "by app reversed") {
		t.Errorf("reversed: %q, want %q", got, want)
	}
}

func TestLiveScroll(t *testing.T) {
	s := newStage(t, statusOptions{}, plain)
	s.Update(tea.WindowSizeMsg{Width: 80, Height: liveHead + liveFoot + 4}) // four of ten rows
	for _, test := range []struct {
		key  string
		want int
	}{
		{"k", 0}, {"j", 1}, {"down", 2}, {"k", 1}, {"f", 5}, {"pgdown", 6}, {"j", 6}, {"b", 2}, {"G", 6}, {"home", 0}, {"end", 6}, {"pgup", 2}, {"g", 0},
	} {
		s.press(test.key)
		if s.top != test.want {
			t.Errorf("after %s the first row is %d, want %d", test.key, s.top, test.want)
		}
		s.lines()
	}
	s.press("j", "j")
	seen := s.inSight()[0].Key
	s.put("aaa", "n1", "before", status.StateHealthy, now)
	if got := s.inSight()[0].Key; got != seen {
		t.Errorf("a row that comes in before moves the view from %v to %v", seen, got)
	}
	s.gone(status.Key{App: "aaa", Entrypoint: "web", Node: "n1", ID: "before"})
	if got := s.inSight()[0].Key; got != seen {
		t.Errorf("a row that goes away before moves the view from %v to %v", seen, got)
	}
	s.press("G")
	s.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	if s.top != 0 || len(s.inSight()) != 10 {
		t.Errorf("on a larger screen, %d rows are in sight from %d", len(s.inSight()), s.top)
	}
}

func (s *stage) put(app, node, id string, state status.State, since time.Time) {
	e := status.Entry{Key: status.Key{App: app, Entrypoint: "web", Node: node, ID: id}, Status: status.Status{ID: id, Name: app, State: state, Since: since}}
	s.box.change(status.Change{Put: &e}, since)
	if since.Before(s.now) {
		since = s.now
	}
	s.Update(frame(since))
}

func (s *stage) gone(k status.Key) {
	s.box.change(status.Change{Deleted: &k}, s.now)
	s.Update(frame(s.now))
}

// TestLiveChanges marks what changes, counts the time since, and leaves out what
// has gone.
func TestLiveChanges(t *testing.T) {
	s := newStage(t, statusOptions{app: "new", etcd: "127.0.0.1:2379 under /eru"}, plain)
	row := func() string { return strings.Join(strings.Fields(s.lines()[liveHead]), " ") }
	at := now.Add(time.Second)
	s.put("new", "n1", "id", status.StateStarting, at)
	if got := row(); got != "* starting 0s new web n1 new" {
		t.Errorf("of a new one: %q", got)
	}
	s.Update(frame(at.Add(flashFor)))
	if got := row(); got != "starting 3s new web n1 new" {
		t.Errorf("after a while: %q", got)
	}
	s.put("new", "n1", "id", status.StateStarting, at) // written again, the same
	if got := row(); strings.Contains(got, "*") {
		t.Errorf("nothing has changed: %q", got)
	}
	at = at.Add(time.Minute)
	s.put("new", "n1", "id", status.StateHealthy, at)
	if got := row(); got != "* healthy 0s new web n1 new" {
		t.Errorf("of a change: %q", got)
	}
	s.put("new", "n1", "id", status.StateHealthy, at.Add(time.Second)) // it failed between two frames
	if got := row(); got != "* healthy 0s new web n1 new" {
		t.Errorf("of a flap: %q", got)
	}
	s.gone(status.Key{App: "new", Entrypoint: "web", Node: "n1", ID: "id"})
	if got := row(); got != "nothing to show from etcd at 127.0.0.1:2379 under /eru" {
		t.Errorf("of none: %q", got)
	}
}

// TestLiveState leaves out a container that leaves the wanted state, and takes in
// one that comes into it.
func TestLiveState(t *testing.T) {
	s := newStage(t, statusOptions{state: "unhealthy"}, plain)
	s.put("shop", "n2", "1123456789abcdef", status.StateHealthy, now)
	s.put("api", "n1", "4123", status.StateUnhealthy, now)
	if got := s.apps(); got != "api" || !strings.HasPrefix(s.lines()[1], "1 container: 1 unhealthy") {
		t.Errorf("it shows %q and says %q", got, s.lines()[1])
	}
}

// TestLiveHeld holds the screen, and shows all that was missed when it goes on.
func TestLiveHeld(t *testing.T) {
	s := newStage(t, statusOptions{}, plain)
	s.press("p")
	before := s.lines()
	s.put("aaa", "n1", "id", status.StateHealthy, now.Add(time.Second))
	s.put("aaa", "n1", "id", status.StateStopped, now.Add(2*time.Second))
	after := s.lines()
	if want := "HELD, 1 change waiting · etcd is followed"; after[0] != want {
		t.Errorf("the head says %q, want %q", after[0], want)
	}
	if strings.Join(before[1:], "\n") != strings.Join(after[1:], "\n") {
		t.Error("the rest has changed")
	}
	s.press("space")
	s.Update(frame(now.Add(3 * time.Second)))
	if got := strings.Join(strings.Fields(s.lines()[liveHead]), " "); got != "* stopped 1s aaa web n1 aaa" {
		t.Errorf("after it: %q", got)
	}
}

func TestLiveHeads(t *testing.T) {
	s := newStage(t, statusOptions{}, plain)
	s.box.change(status.Change{Lost: errors.New("first \x1b]0;x\a")}, now)
	s.box.change(status.Change{Lost: errors.New("connecting \x1b[2J\u202e")}, now.Add(time.Second))
	s.Update(frame(now.Add(90 * time.Second)))
	if got, want := s.lines()[0], "etcd away since "+now.Format("15:04:05")+" (1m30s), the last known stands: connecting ?[2J?"; got != want[:min(len(want), len(got)-3)]+"…" && got != want {
		t.Errorf("of an etcd that is away: %q, want %q", got, want)
	}
	s.box.change(status.Change{Synced: true}, now)
	s.box.change(status.Change{NodeGone: "n1"}, now)
	s.box.vigil(status.Vigil{Silences: map[string]status.Silence{"n3": {Judged: now}, "n1": {Since: now}}})
	s.box.drains(status.Drains{})
	s.Update(frame(now))
	if got, want := s.lines()[0], "etcd is followed"; got != want {
		t.Errorf("of an etcd that is back: %q, want %q", got, want)
	}
	if got, want := s.lines()[2], "nodes: 0 alive, 2 silent, 1 stopping · 1 not judged (grace or guard) · drains: …"; got != want {
		t.Errorf("of nodes: %q, want %q", got, want)
	}
	s.box.vigil(status.Vigil{Silences: map[string]status.Silence{"n3": {Judged: now}, "n1": {Judged: now}}})
	s.Update(frame(now))
	if got, want := s.lines()[2], "nodes: 0 alive, 2 silent, 1 stopping · all judged · drains: 0 · monitor: none"; got != want {
		t.Errorf("of judged nodes: %q, want %q", got, want)
	}
	empty := &stage{t, newInbox(), newScreen(statusOptions{}, newInbox(), plain, now)}
	if got, want := strings.Join(empty.lines()[:3], "|"), "reading etcd …|0 containers: -|nodes: 0 alive, 0 silent · drains: ? · monitor: ?"; got != want {
		t.Errorf("at first: %q, want %q", got, want)
	}
}

func TestLiveQuit(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		s := newStage(t, statusOptions{}, plain)
		if _, next := s.Update(key); next == nil || next() != tea.Quit() {
			t.Errorf("%s does not end it", key)
		}
	}
	s := newStage(t, statusOptions{}, plain)
	s.press("/")
	if _, next := s.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}); next == nil || next() != tea.Quit() {
		t.Error("Ctrl-C does not end it while a filter is typed")
	}
}

// hostile are texts that would harm a terminal.
func hostile() []string {
	return []string{
		"\x1b[2J\x1b[31mred", "\x1b]0;title\a", "\x9b31m", "a\rb\nc\td\x00", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth\ufeff",
		"broken\xff\xc3(", "漢字かな交じり文の長い名前です", "e\u0301\u0301\u0301\u0301", "👩‍👩‍👧‍👦 family", strings.Repeat("10 KB ", 1700), strings.Repeat("漢", 3000),
	}
}

// TestLiveHostile shows what others wrote, in every place.
func TestLiveHostile(t *testing.T) {
	for _, width := range []int{20, 80, 200} {
		s := newStage(t, statusOptions{}, plain)
		s.Update(tea.WindowSizeMsg{Width: width, Height: 60})
		for i, text := range hostile() {
			e := status.Entry{Key: status.Key{App: "bad", Entrypoint: "web", Node: "n1", ID: fmt.Sprint(i)},
				Status: status.Status{Name: text, Reason: text, Detail: text, State: status.State(text), Endpoints: map[string]string{text: text}, Since: now}}
			s.box.change(status.Change{Put: &e}, now)
		}
		s.Update(frame(now))
		for _, line := range s.lines() {
			for _, r := range line {
				if r == utf8.RuneError || r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || strings.ContainsRune("\u202e\u2066\u2069\u200b\ufeff", r) {
					t.Errorf("%q holds %U", line, r)
				}
			}
		}
	}
}

// FuzzLive types and shows anything on a screen of any size.
func FuzzLive(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text[:min(len(text), 300)], uint8(80), uint8(24))
	}
	f.Fuzz(func(t *testing.T, text string, width, height uint8) {
		s := newStage(t, statusOptions{}, plain)
		s.Update(tea.WindowSizeMsg{Width: int(width) + 1, Height: int(height) + 1})
		s.put("aaa", "n1", "id", status.State(text), now)
		s.press("/")
		s.Update(tea.PasteMsg{Content: text})
		s.lines()
		s.press("esc", text)
		s.lines()
	})
}

// crowded is a screen of n containers.
func crowded(n int) (*screen, *inbox, func(n int, state status.State, at time.Time)) {
	box := newInbox()
	s := newScreen(statusOptions{}, box, coloured, now)
	put := func(n int, state status.State, at time.Time) {
		e := status.Entry{Key: status.Key{App: fmt.Sprintf("app%d", n%500), Entrypoint: "web", Node: fmt.Sprintf("node%d", n%100), ID: fmt.Sprintf("%064x", n)},
			Status: status.Status{Name: fmt.Sprintf("app%d_web_%d", n%500, n), State: state, Since: at, Endpoints: map[string]string{"80": "10.0.0.5:80"}}}
		box.change(status.Change{Put: &e}, at)
	}
	for i := range n {
		put(i, status.StateHealthy, now)
	}
	box.change(status.Change{Synced: true}, now)
	s.Update(frame(now))
	return s, box, put
}

// BenchmarkLive is what a frame costs the screen of 10,000 containers in which 10
// change, as 100 a second do at 10 frames a second, in each order of the rows.
func BenchmarkLive(b *testing.B) {
	for by := range sortKeys {
		b.Run(by.String(), func(b *testing.B) {
			s, _, put := crowded(10000)
			s.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
			s.sort(boardSort{by: by})
			states := [2]status.State{status.StateUnhealthy, status.StateHealthy}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at := now.Add(time.Duration(i) * frameEvery)
				for j := range 10 {
					put((i*10+j)*37%10000, states[i%2], at)
				}
				s.Update(frame(at))
				_ = s.View()
			}
			b.ReportMetric(10*b.Elapsed().Seconds()/float64(b.N)*100, "%cpu@10frames/s")
		})
	}
}

// TestLiveInSight holds that drawing costs what is in sight, not what there is.
func TestLiveInSight(t *testing.T) {
	cost := func(n int) float64 {
		s, _, _ := crowded(n)
		return testing.AllocsPerRun(10, func() { _ = s.View() })
	}
	if few, many := cost(100), cost(10000); many > few+20 {
		t.Errorf("drawing 100 containers takes %v allocations, 10,000 take %v", few, many)
	}
}

// TestBoardOrder holds that rows put in one by one stand as if all were sorted.
func TestBoardOrder(t *testing.T) {
	for by := range sortKeys {
		for _, reverse := range []bool{false, true} {
			s, _, put := crowded(300)
			s.sort(boardSort{by, reverse})
			for i := range 900 {
				put(i*7%350, allStates()[i%len(allStates())], now.Add(time.Duration(i%13)*time.Second))
				if i%3 == 0 {
					s.Update(frame(now))
				}
			}
			s.Update(frame(now))
			got := fmt.Sprint(keys(s.board.shown))
			counted := counts(s.board.counts)
			s.board.arrange()
			if want := fmt.Sprint(keys(s.board.shown)); got != want {
				t.Errorf("by %s, reversed %t: not in order", by, reverse)
			}
			if want := counts(s.board.counts); counted != want {
				t.Errorf("by %s: counted %s, want %s", by, counted, want)
			}
		}
	}
}

func keys(rows []*boardRow) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.Key.ID
	}
	return list
}
