package foreign_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/projecteru2/eru-agent/foreign"
)

func TestText(t *testing.T) {
	for name, tt := range map[string]struct{ from, want string }{
		"plain":                          {"http :80/: 500, want 200-399", "http :80/: 500, want 200-399"},
		"nothing":                        {"", ""},
		"other scripts":                  {"größe 内存 память", "größe 内存 память"},
		"escape sequence":                {"a\x1b[31mred\x1b]0;title\a", "a?[31mred?]0;title?"},
		"C1 escape":                      {"a\u009b31m", "a?31m"},
		"raw C1 byte":                    {"a\x9b31m", "a?31m"},
		"several lines":                  {"one\r\ntwo\tthree", "one  two three"},
		"line separator":                 {"one\u2028two\u0085three", "one two three"},
		"null and delete":                {"a\x00b\x7f", "a?b?"},
		"bidi override":                  {"exe\u202etxt\u2066.gif\u2069", "exe?txt?.gif?"},
		"takes no room":                  {"a\u200bb\ufeffc\u00ad", "a?b?c?"},
		"invisible letters":              {"a\u3164b\u115f", "a?b?"},
		"tags":                           {"a\U000e0041", "a?"},
		"broken UTF-8":                   {"a\xffb\xe2\x82", "a?b??"},
		"replacement":                    {"a\ufffd", "a?"},
		"space that is none":             {"a\u00a0b\u3000c", "a b c"},
		"two marks":                      {"ệ e\u0302\u0323", "ệ e\u0302\u0323"},
		"a tower of marks":               {"e" + strings.Repeat("\u0301", 5) + "f\u0301", "e\u0301\u0301\u0301??f\u0301"},
		"markup is a matter of the page": {"<script>&", "<script>&"},
	} {
		if got := foreign.Text(tt.from); got != tt.want {
			t.Errorf("%s: %q is %q, want %q", name, tt.from, got, tt.want)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	for _, from := range []string{
		strings.Repeat("x", 10<<10), strings.Repeat("é", 10<<10), strings.Repeat("内", 10<<20), strings.Repeat("\xff", 10<<10), strings.Repeat("\x1b[", 5<<10),
		"a" + strings.Repeat("\u0301", 10<<10),
	} {
		got := foreign.Text(from)
		if len(got) > foreign.MaxText || len(got) < foreign.MaxText-3 || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("%.20q…: %d bytes, %q", from, len(got), got)
		}
	}
	if exact := strings.Repeat("x", foreign.MaxText); foreign.Text(exact) != exact {
		t.Error("what just fits is cut")
	}
	if got := foreign.Within("0123456789", 8); got != "01234…" {
		t.Errorf("within 8 bytes: %q", got)
	}
}

func TestQuote(t *testing.T) {
	if got := foreign.Quote("a\x1b\"\u3164\n", 64); got != `"a\x1b\"?\n"` {
		t.Errorf("got %s", got)
	}
	if got := foreign.Quote(strings.Repeat("\x1b", 10<<10), 64); len(got) > 4*64+2 || !strings.HasSuffix(got, "…\"") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestLines(t *testing.T) {
	if got := foreign.Lines("two things:\n\ta\x1b[2J\r\n  b"); got != "two things:\n\ta?[2J \n  b" {
		t.Errorf("got %q", got)
	}
	if got := foreign.Lines(strings.Repeat("line\n", 10<<10)); len(got) > 8<<10 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestJSON(t *testing.T) {
	for from, want := range map[string]string{
		"{\n  \"a\": 1\n}\n":             "{\n  \"a\": 1\n}\n",
		"\"a\u202eb\"":                   `"a\u202eb"`,
		"\"a\u009b\x7f\"":                `"a\u009b\u007f"`,
		"\"größe 内\"":                    "\"größe 内\"",
		"\"\U000e0041\"":                 `"\udb40\udc41"`,
		"\"\xff\"":                       `"\ufffd"`,
		"INFO\tkept {\"a\": \"\u200b\"}": "INFO\tkept {\"a\": \"\\u200b\"}",
	} {
		if got := string(foreign.JSON([]byte(from))); got != want {
			t.Errorf("%q is %q, want %q", from, got, want)
		}
	}
}

func seeds(f *testing.F) {
	for _, s := range []string{"", "plain", "a\x1b[31m\u202e\xff", strings.Repeat("é", 300), "\u009b", "e" + strings.Repeat("\u0301", 9), strings.Repeat("ab\n", 5000), "\U000e0041\u3164"} {
		f.Add(s)
	}
}

// fit says whether s may be written to a terminal.
func fit(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r)
	})
}

func FuzzText(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		got := foreign.Text(s)
		if !fit(got) || len(got) > foreign.MaxText {
			t.Errorf("%q is shown as %q", s, got)
		}
		if again := foreign.Text(got); again != got {
			t.Errorf("%q is shown as %q, and that as %q", s, got, again)
		}
		if lines := foreign.Lines(s); !fit(strings.NewReplacer("\n", "", "\t", "").Replace(lines)) || strings.Count(lines, "\n") > strings.Count(s, "\n") {
			t.Errorf("%q is shown as %q", s, lines)
		}
	})
}

// FuzzJSON holds that a program reads the same, and a terminal nothing that it
// acts on.
func FuzzJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, s string) {
		encoded, err := json.Marshal(map[string]string{"text": s, s: "key"})
		if err != nil {
			t.Fatal(err)
		}
		safe := foreign.JSON(encoded)
		var was, is map[string]string
		if json.Unmarshal(encoded, &was) != nil || json.Unmarshal(safe, &is) != nil || was["text"] != is["text"] || is[s] != was[s] {
			t.Errorf("%q was %q and is %q", s, was, is)
		}
		if !fit(string(safe)) {
			t.Errorf("%q is written as %q", s, safe)
		}
	})
}
