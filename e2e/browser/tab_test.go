package browser

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// strange is a name of somebody else's that resolves to this machine.
const strange = "evil.example"

// start starts a Chromium that ends with the test.
func start(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP "+strange+" 127.0.0.1"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	t.Cleanup(func() { _ = chromedp.Cancel(browser) }) // and waits for its end
	return browser
}

// tab is a tab of Chromium, which remembers what the page in it did wrong.
type tab struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // that is how chromedp names a tab
	host string          // where the page is, and all that it may ask

	mu    sync.Mutex
	asked []string // paths
	wrong []string
}

// open opens a tab for the agent's page; do stands before, and may turn JavaScript
// off.
func open(t *testing.T, browser context.Context, a *rig.Agent, do ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	b := &tab{t: t, host: a.API()}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do(append(do, chromedp.Navigate("http://"+b.host+"/"))...)
	return b
}

// hear keeps what the page asks for and what it does wrong. What breaks the
// page's policy is an entry of the log.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		at, err := url.Parse(e.Request.URL)
		switch {
		case err != nil || at.Host != b.host:
			b.wrong = append(b.wrong, "asks "+e.Request.URL)
		default:
			b.asked = append(b.asked, at.Path)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprintf("throws %s at %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber))
	case *runtime.EventConsoleAPICalled:
		b.wrong = append(b.wrong, fmt.Sprintf("writes to the console: %s", e.Type))
	case *log.EventEntryAdded:
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	}
}

// faults are what the page has done wrong so far.
func (b *tab) faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrong)
}

// requests are the paths that were asked for so far.
func (b *tab) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates an expression in the tab. Chromedp's own way to wait needs eval,
// which the page's policy forbids.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, rig.Patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("asking for %s: %v", expression, err)
	}
	return got
}

// await returns once an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	rig.Await(b.t, expression, func() error {
		if !ask[bool](b, expression) {
			return fmt.Errorf("the page says:\n%s", ask[string](b, "document.body.innerText"))
		}
		return nil
	})
}

// rows are the states of the rows by the containers' IDs.
func (b *tab) rows() map[string]string {
	b.t.Helper()
	return ask[map[string]string](b, `Object.fromEntries([...document.querySelectorAll("#rows tr")].map((r) => [r.dataset.key, r.dataset.state]))`)
}

// row is the expression for a container's row.
func row(c *rig.Container) string {
	return fmt.Sprintf(`document.querySelector('#rows tr[data-key=%q]')`, c.ID)
}

// awaitState returns once a container's row is there in a state.
func (b *tab) awaitState(c *rig.Container, state string) {
	b.t.Helper()
	b.await(fmt.Sprintf("%s?.dataset.state === %q", row(c), state))
}

// ofUser is how the user wants pages to be.
func ofUser(scheme string) chromedp.Action[chromedp.Void] {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func command[P any](c cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}
