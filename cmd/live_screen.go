package cmd

import (
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

const (
	// frameEvery bounds how often the screen is drawn.
	frameEvery = 100 * time.Millisecond
	// flashFor is how long a change of state is marked.
	flashFor = 3 * time.Second
	// maxTyped bounds a filter in bytes.
	maxTyped = 200
)

// frame is the moment at which the screen shows what has become known.
type frame time.Time

// source is what the screen learns from, between two frames.
type source interface {
	take() tidings
	waiting() int
}

// screen is all that a person sees and has asked for. It changes by messages
// alone and knows neither terminal nor clock.
type screen struct {
	board  *board
	from   source
	paint  paint
	now    time.Time // of the last frame
	width  int
	height int
	top    int // the first row in sight

	synced bool // since the start
	lost   error
	since  time.Time // of lost
	drains *status.Drains
	vigil  *status.Vigil

	paused bool
	help   bool
	typing bool
	typed  string // the filter
	before string // the filter before it is typed anew
}

func newScreen(o statusOptions, from source, p paint, now time.Time) *screen {
	return &screen{board: newBoard(o), from: from, paint: p, now: now, width: 80, height: 24}
}

// Init starts the frames.
func (s *screen) Init() tea.Cmd { return nextFrame() }

func nextFrame() tea.Cmd {
	return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frame(t) })
}

// Update takes one message.
func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	var next tea.Cmd
	switch m := message.(type) {
	case frame:
		s.advance(time.Time(m))
		next = nextFrame()
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case tea.PasteMsg:
		if s.typing {
			s.filter(s.typed + foreign.Text(m.Content))
		}
	case tea.KeyPressMsg:
		next = s.key(m)
	}
	s.scroll(0)
	return s, next
}

// advance shows what has become known until now, unless the screen is held.
func (s *screen) advance(now time.Time) {
	if s.paused {
		return
	}
	s.now = now
	n := s.from.take()
	for _, c := range n.changes {
		moved := s.board.apply(c, now, s.synced, s.top)
		if s.top > 0 { // who has scrolled goes on seeing the same rows
			s.top += moved
		}
	}
	s.synced = s.synced || n.synced
	s.lost, s.since = n.lost, n.since
	if n.drains != nil {
		s.drains = n.drains
	}
	if n.vigil != nil {
		s.vigil = n.vigil
	}
}

func (s *screen) key(k tea.KeyPressMsg) tea.Cmd {
	switch name := k.String(); {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case s.typing:
		s.edit(name, k.Text)
	case s.help:
		s.help = false
	case name == "q":
		return tea.Quit
	default:
		s.command(name)
	}
	return nil
}

// command is a key outside of the filter.
func (s *screen) command(key string) {
	switch key {
	case "/":
		s.typing, s.before = true, s.typed
	case "esc":
		s.filter("")
	case "?", "h":
		s.help = true
	case "space", "p":
		s.paused = !s.paused
	case "s":
		s.sort(boardSort{by: (s.board.sort.by + 1) % sortKeys})
	case "r":
		s.sort(boardSort{s.board.sort.by, !s.board.sort.reverse})
	case "down", "j":
		s.scroll(1)
	case "up", "k":
		s.scroll(-1)
	case "pgdown", "ctrl+f", "f":
		s.scroll(s.room())
	case "pgup", "ctrl+b", "b":
		s.scroll(-s.room())
	case "home", "g":
		s.top = 0
	case "end", "G":
		s.scroll(len(s.board.shown))
	}
}

// edit is a key within the filter, which takes hold while it is typed.
func (s *screen) edit(key, text string) {
	switch key {
	case "enter":
		s.typing = false
	case "esc":
		s.typing = false
		s.filter(s.before)
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(s.typed)
		s.filter(s.typed[:len(s.typed)-size])
	case "ctrl+u":
		s.filter("")
	default:
		s.filter(s.typed + foreign.Text(text))
	}
}

func (s *screen) filter(text string) {
	if text == s.typed || len(text) > maxTyped {
		return
	}
	s.typed, s.top = text, 0
	s.board.words = strings.Fields(strings.ToLower(text))
	s.board.arrange()
}

func (s *screen) sort(by boardSort) {
	s.board.sort, s.top = by, 0
	s.board.arrange()
}

// scroll moves the rows, and keeps them in sight.
func (s *screen) scroll(by int) {
	s.top = max(0, min(s.top+by, len(s.board.shown)-s.room()))
}
