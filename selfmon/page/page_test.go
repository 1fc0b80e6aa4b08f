package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/projecteru2/eru-agent/selfmon/page"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// node is one that the test changes.
type node struct {
	mu    sync.Mutex
	node  page.Node
	err   error
	asked int
}

func (n *node) look(context.Context) (page.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	n.node.At = time.Now()
	return n.node, n.err
}

func (n *node) change(how func(*page.Node)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	how(&n.node)
}

// container is one of shop/web that has been in state for a minute.
func container(id string, state status.State, probes ...trail.Probe) page.Container {
	return page.Container{Probes: probes, Entry: status.Entry{
		Key:    status.Key{App: "shop", Entrypoint: "web", ID: id},
		Status: status.Status{ID: id, Name: "shop_web_" + id, State: state, Since: time.Now().Add(-time.Minute)},
	}}
}

// serve answers with the page until the test ends.
func serve(t *testing.T, n *node) *httptest.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	page.New(n.look).Register(ctx, mux)
	s := httptest.NewServer(mux)
	t.Cleanup(func() { cancel(); s.Close() })
	return s
}

// answer is what a client gets.
type answer struct {
	StatusCode int
	Header     http.Header
}

func get(t *testing.T, url string) (answer, string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // the server is the test's own
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header}, string(body)
}

// hostile is what others may write.
func hostile() map[string]string {
	return map[string]string{
		"markup":     `"><script>alert(1)</script><img src=x onerror=alert(1)>'"` + "`",
		"javascript": `javascript:alert(1)`,
		"template":   `{{.}}{{template "page"}}`,
		"control":    "\x1b[31mred\x1b[0m\x00\a\r\n\x9b",
		"bidi":       "safe\u202egnp.exe\u2066\u200b",
		"long":       strings.Repeat("long ", 2048),
		"one word":   strings.Repeat("W", 10<<10),
		"not UTF-8":  "a\xff\xfe\xc3(b",
	}
}

func TestWhatOthersWroteIsShownSafely(t *testing.T) {
	for name, word := range hostile() {
		t.Run(name, func(t *testing.T) {
			c := page.Container{Entry: status.Entry{
				Key: status.Key{App: word, Entrypoint: word, ID: word},
				Status: status.Status{Name: word, State: status.State(word), Reason: word, Detail: word,
					Endpoints: map[string]string{word: word}},
			}, Probes: []trail.Probe{{Reason: word}}}
			n := &node{node: page.Node{Name: word, Version: word, NotReady: word, Containers: []page.Container{c, container("b", status.StateHealthy)},
				Moves: []trail.Step{{ID: word, Name: word, App: word, Entrypoint: word, From: word, To: word + "2", Reason: word, Detail: word, Detected: time.Now()}}}}
			s := serve(t, n)
			_, body := get(t, s.URL)
			safe(t, body)
			first := follow(t, s.URL).next(t)
			for _, part := range first.Parts {
				safe(t, part)
			}
			for _, row := range first.Rows {
				safe(t, row)
			}
		})
	}
}

// safe is whether text holds markup of the page's own only, in characters that can
// be seen, and is not long.
func safe(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("it is not UTF-8")
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("it holds %U", r)
		}
	}
	if len(text) > 24<<10 {
		t.Errorf("it has %d bytes", len(text))
	}
	for in := html.NewTokenizer(strings.NewReader(text)); in.Next() != html.ErrorToken; {
		tag := in.Token()
		if tag.Type == html.TextToken {
			continue
		}
		if tag.Data == "img" || tag.Data == "script" && tag.Type == html.StartTagToken && tag.String() != `<script src="page/script.js" defer="">` {
			t.Errorf("it holds %s", tag)
		}
		for _, a := range tag.Attr {
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Val, "javascript:") && (a.Key == "href" || a.Key == "src") {
				t.Errorf("it holds %s", tag)
			}
		}
	}
}

func TestNothingIsFromElsewhere(t *testing.T) {
	s := serve(t, &node{})
	resp, body := get(t, s.URL)
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if found := regexp.MustCompile(`(?i)https?://|//[a-z]|style=|\son[a-z]+=`).FindString(body); found != "" {
		t.Errorf("the page holds %q", found)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(page/[^"]*)"`).FindAllStringSubmatch(body, -1) {
		resp, text := get(t, s.URL+"/"+m[1])
		if resp.StatusCode != http.StatusOK || text == "" || resp.Header.Get("ETag") == "" {
			t.Errorf("%s: %d %v", m[1], resp.StatusCode, resp.Header)
		}
	}
}

func TestThePageWithoutScript(t *testing.T) {
	n := &node{node: page.Node{Name: "node7", Vitals: []page.Vital{{Name: "etcd session", Value: "held", Level: page.OK}}}}
	failed := trail.Probe{Reason: "timeout", Phases: trail.Phases{Total: time.Second}}
	passed := trail.Probe{Pass: true, Phases: trail.Phases{Total: 850 * time.Microsecond}}
	n.node.Containers = []page.Container{
		container("well", status.StateHealthy, passed), container("ill", status.StateUnhealthy, passed, failed), container("odd", status.StateInvalid),
	}
	n.node.Moves = []trail.Step{{ID: "ill", Name: "shop_web_ill", App: "shop", Entrypoint: "web", From: "healthy", To: "unhealthy", Reason: "timeout", Detected: time.Now().Add(-time.Minute)}}
	_, body := get(t, serve(t, n).URL)
	for _, want := range []string{
		`<noscript><meta http-equiv="refresh" content="5"></noscript>`, "node7", "<b>1</b> invalid", "<b>1</b> unhealthy", "<b>1</b> healthy", "etcd session", "held",
		`<rect class="healthy"`, `<rect class="unhealthy"`, "not probed", "last 2 probes: 1 failed, median 0.85 ms", `<path class="fail"`,
		`<span class="took fail">timeout`, "one probe: all passed", "0.85 ms", "1m 0s",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	var keys []string
	for _, m := range regexp.MustCompile(`data-key="([a-z]+)"`).FindAllStringSubmatch(body, -1) {
		keys = append(keys, m[1])
	}
	if got := strings.Join(keys, " "); got != "odd ill well" {
		t.Errorf("the order is %q, and what needs somebody comes first", got)
	}
}

func TestNoMoreIsShownThanAnybodyReads(t *testing.T) {
	n := &node{}
	for range 700 {
		n.node.Containers = append(n.node.Containers, container("a", status.StateHealthy))
	}
	n.node.Containers = append(n.node.Containers, container("ill", status.StateUnhealthy))
	_, body := get(t, serve(t, n).URL)
	if rows := strings.Count(body, "<tr class="); rows != 500 || !strings.Contains(body, "and 201 more") || !strings.Contains(body, `data-key="ill"`) {
		t.Errorf("%d rows", rows)
	}
}

func TestANodeThatDoesNotAnswer(t *testing.T) {
	n := &node{err: errors.New("asleep")}
	resp, body := get(t, serve(t, n).URL)
	if resp.StatusCode != http.StatusServiceUnavailable || body != "not answering: asleep\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// A page that many load does not ask the node more often for it.
func TestManyWhoLookAskOnce(t *testing.T) {
	n := &node{}
	s := serve(t, n)
	for range 50 {
		get(t, s.URL)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked > 25 {
		t.Errorf("the node was asked %d times for 50", n.asked)
	}
}

// news is an event as a script reads it.
type news struct {
	Now, Fault *string
	Parts      map[string]string
	Rows       []string
	Order      []string
}

// follower reads /events.
type follower struct {
	in *bufio.Reader
}

func follow(t *testing.T, url string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &follower{bufio.NewReader(resp.Body)}
}

func (f *follower) next(t *testing.T) news {
	t.Helper()
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var n news
			if err := json.Unmarshal([]byte(data), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
}

func TestWhoFollowsIsToldWhatChanges(t *testing.T) {
	n := &node{node: page.Node{Containers: []page.Container{container("a", status.StateHealthy), container("b", status.StateHealthy)}}}
	f := follow(t, serve(t, n).URL)
	if first := f.next(t); first.Now == nil || len(first.Parts) != 4 || len(first.Rows) != 2 || strings.Join(first.Order, " ") != "a b" {
		t.Errorf("first: %+v", first)
	}
	n.change(func(n *page.Node) { n.Containers[1].Status.State = status.StateUnhealthy })
	if next := f.next(t); len(next.Rows) != 1 || !strings.Contains(next.Rows[0], `data-key="b" data-state="unhealthy"`) ||
		strings.Join(next.Order, " ") != "b a" || next.Parts["head"] == "" || next.Parts["vitals"] != "" || next.Now != nil {
		t.Errorf("next: %+v", next)
	}
	n.change(func(n *page.Node) { n.Containers = nil })
	if last := f.next(t); last.Order == nil || len(last.Order) != 0 || last.Parts["rest"] == "" {
		t.Errorf("last: %+v", last)
	}
	n.mu.Lock()
	n.err = errors.New("asleep")
	n.mu.Unlock()
	if lost := f.next(t); lost.Fault == nil || !strings.Contains(*lost.Fault, "asleep") || len(lost.Parts) != 0 || lost.Order != nil {
		t.Errorf("lost: %+v", lost)
	}
	n.mu.Lock()
	n.err = nil
	n.mu.Unlock()
	if back := f.next(t); back.Fault == nil || *back.Fault != "" || len(back.Parts) != 0 {
		t.Errorf("back: %+v", back)
	}
}

func TestOnlySoManyMayFollow(t *testing.T) {
	s := serve(t, &node{})
	for range page.MaxListeners {
		follow(t, s.URL)
	}
	resp, body := get(t, s.URL+"/events")
	if resp.StatusCode != http.StatusServiceUnavailable || body != "16 follow this page already, and no more may: close one, or ask /status\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestFollowingEndsWithTheAgent(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	page.New((&node{}).look).Register(ctx, mux)
	s := httptest.NewServer(mux)
	defer s.Close()
	f := follow(t, s.URL)
	f.next(t)
	cancel()
	if _, err := io.Copy(io.Discard, f.in); err != nil {
		t.Errorf("it was cut off: %v", err)
	}
}
