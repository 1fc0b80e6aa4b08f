package browser

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// health is the path that a sick container says so at.
const health = "--label=eru.health.http.path=/health"

// world is a node with containers in different states.
type world struct {
	*rig.Node
	agent  *rig.Agent
	chrome context.Context //nolint:containedctx // that is how chromedp names a browser
	well   *rig.Container
	states map[string]string // by ID
}

func newWorld(t *testing.T) *world {
	n := r.Node(t, etcdtest.Start(t))
	w := &world{Node: n, agent: n.Start().AwaitReady(), chrome: start(t), states: map[string]string{}}
	w.well = n.Run("shop", rig.HTTP, health)
	still := n.Run("shop", rig.HTTP)
	ended := n.Run("shop", rig.HTTP)
	for c, state := range map[*rig.Container]string{
		w.well: "healthy", still: "healthy", ended: "healthy",
		n.Run("cart", rig.HTTP, health, "--env=MODE=sick"):   "starting",
		n.Run("mail", "--label=eru.health.http.port=eighty"): "invalid",
	} {
		c.Await(state)
		w.states[c.ID] = state
	}
	still.Docker("pause")
	still.Await("paused")
	ended.Docker("kill")
	ended.Await("stopped")
	w.states[still.ID], w.states[ended.ID] = "paused", "stopped"
	return w
}

// TestPage looks at one node's page in every way that people do.
func TestPage(t *testing.T) {
	w := newWorld(t)
	t.Run("shows all containers", w.testShows)
	t.Run("follows the node", w.testFollows)
	t.Run("without JavaScript", w.testWithoutScript)
	t.Run("fits a telephone", w.testTelephone)
	t.Run("by day and by night", w.testColours)
	t.Run("takes nothing for markup", w.testMarkup)
	t.Run("is not read by another site", w.testStranger)
	t.Run("what it does wrong is seen", w.testWatch)
}

// good opens the page, and holds at the end of the test that it did nothing wrong.
func (w *world) good(t *testing.T, do ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	b := open(t, w.chrome, w.agent, do...)
	t.Cleanup(func() {
		if wrong := b.faults(); len(wrong) > 0 {
			t.Errorf("the page:\n%s", strings.Join(wrong, "\n"))
		}
	})
	return b
}

func (w *world) testShows(t *testing.T) {
	b := w.good(t)
	if got := b.rows(); !maps.Equal(got, w.states) {
		t.Errorf("the rows are %v, want %v", got, w.states)
	}
	b.await(`document.getElementById("live").classList.contains("on")`)
	for _, path := range []string{"/", "/page/style.css", "/page/script.js", "/events"} {
		if !slices.Contains(b.requests(), path) {
			t.Errorf("it has not asked for %s, but for %q", path, b.requests())
		}
	}
}

func (w *world) testFollows(t *testing.T) {
	b := w.good(t)
	b.awaitState(w.well, "healthy")
	b.await(`document.getElementById("live").classList.contains("on")`)
	ask[bool](b, "window.first = true")
	w.well.Behave("sick")
	b.awaitState(w.well, "unhealthy")
	b.await(row(w.well) + `.innerText.includes("503, want 200-399")`)
	w.well.Behave("ok")
	b.awaitState(w.well, "healthy")
	if !ask[bool](b, "window.first === true") {
		t.Error("the page has been loaded anew")
	}
}

func (w *world) testWithoutScript(t *testing.T) {
	b := w.good(t, command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	if got := b.rows(); !maps.Equal(got, w.states) {
		t.Errorf("the rows are %v, want %v", got, w.states)
	}
	if live := ask[string](b, `document.getElementById("live").textContent`); live != "every 5 s" {
		t.Errorf("it says of itself: %q", live)
	}
	if slices.Contains(b.requests(), "/events") {
		t.Error("a script runs")
	}
}

func (w *world) testTelephone(t *testing.T) {
	b := w.good(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait))
	wide := ask[[]int](b, "[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
	if wide[0] > wide[1] || wide[1] != 390 {
		t.Errorf("the page is %d wide on a screen of %d", wide[0], wide[1])
	}
}

// faint are the texts of the page whose contrast with what is behind them is under
// 4.5, as WCAG reckons it, after how many there are and how light the page is.
const faint = `(() => {
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => { const [r, g, b] = parts(colour).map(linear); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.body.querySelectorAll("*")].filter((e) => !e.closest("svg") && e.getClientRects().length &&
    [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()));
  const found = texts.map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
    return [(a + 0.05) / (b + 0.05), e.className + " " + e.textContent];
  }).filter(([contrast]) => contrast < 4.5).map(([contrast, what]) => contrast.toFixed(2) + " " + what);
  return { Texts: texts.length, Back: light(behind(document.body)), Text: light(getComputedStyle(document.body).color), Found: found };
})()`

func (w *world) testColours(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		b := w.good(t, ofUser(scheme))
		b.await(`document.getElementById("live").classList.contains("on")`)
		got := ask[struct {
			Texts      int
			Back, Text float64
			Found      []string
		}](b, faint)
		if got.Texts < 20 || len(got.Found) > 0 {
			t.Errorf("%s: of %d texts are faint:\n%s", scheme, got.Texts, strings.Join(got.Found, "\n"))
		}
		if dark := got.Back < 0.05 && got.Text > 0.5; dark != (scheme == "dark") {
			t.Errorf("%s: the page's lightness is %.2f, its text's %.2f", scheme, got.Back, got.Text)
		}
	}
}

// nasty is what a browser would run if it took it for markup, and what would spoil
// the text around it.
const nasty = "<img src=x onerror=window.hacked=1>\x1b[31m\u202e\a"

// testMarkup lets labels and answers come over while the page is open, as the
// script puts them there, and then with the page itself.
func (w *world) testMarkup(t *testing.T) {
	b := w.good(t)
	b.await(`document.getElementById("live").classList.contains("on")`)
	n := w.In(t)
	hostile := map[*rig.Container]string{
		n.Run("hostile", rig.HTTP, "--env=MODE=markup"):         "starting",
		n.Run("hostile", "--label=eru.health.http.port="+nasty): "invalid",
	}
	look := func(how string) {
		for c, state := range hostile {
			b.awaitState(c, state)
			b.await(row(c) + `.innerText.includes("<img src=x onerror=")`)
		}
		if ask[bool](b, `window.hacked !== undefined || document.images.length > 0`) {
			t.Errorf("%s, markup of others is taken for the page's", how)
		}
		if ask[bool](b, `/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent)`) {
			t.Errorf("%s, control characters come to the page", how)
		}
	}
	look("live")
	b.do(chromedp.Reload())
	look("loaded")
}

// testWatch holds that the other tests would see what must not be: it puts into
// the page what they look for.
func (w *world) testWatch(t *testing.T) {
	b := open(t, w.chrome, w.agent)
	ask[bool](b, `document.body.insertAdjacentHTML("beforeend", "<img src='http://192.0.2.1/x'><img src=x onerror='window.hacked=1'>"), console.error("no"), setTimeout(() => { throw "so" }), true`)
	for _, what := range []string{"Content Security Policy", "console: error", "throws", "inline event handler"} {
		rig.Await(t, what, func() error { return contains(b.faults(), what) })
	}
}

func contains(lines []string, text string) error {
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
		return fmt.Errorf("there is only %q", lines)
	}
	return nil
}

// testStranger opens a page of a site whose name resolves to this machine: it gets nothing of the node to read.
func (w *world) testStranger(t *testing.T) {
	b := open(t, w.chrome, w.agent)
	_, port, _ := strings.Cut(b.host, ":")
	b.host = strange + ":" + port
	b.do(chromedp.Navigate("http://" + b.host + "/status"))
	if text := ask[string](b, "document.body.innerText"); !strings.Contains(text, "this port does not go by") || strings.Contains(text, w.Name) {
		t.Errorf("it reads:\n%s", text)
	}
	if at := ask[string](b, "location.host"); at != b.host {
		t.Errorf("it is at %s", at)
	}
}
