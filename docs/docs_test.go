// Package docs holds the documentation to what it refers to.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// pages are all that people read, from the repository's root.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/*/*.md", "contrib/*/*.md", "status/testdata/vectors/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

func read(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// prose is a page without its blocks of code, in which # is no heading.
func prose(text string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, strings.TrimSpace(heading))
}

func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose(text), -1) {
		found[anchor(m[1])] = true
	}
	return found
}

// TestLinks follows every link and anchor that leads into the repository.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	followed := 0
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(prose(read(t, page)), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			followed++
			path, fragment, _ := strings.Cut(m[1], "#")
			to := page
			if path != "" {
				to = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
			} else if fragment != "" && strings.HasSuffix(to, ".md") && !anchors(read(t, to))[fragment] {
				t.Errorf("%s: %s: no such heading", page, m[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links", followed)
	}
}

// TestQuestion wants each page to begin with what it answers, and to be found from the index.
func TestQuestion(t *testing.T) {
	index := read(t, "README.md")
	found, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range found {
		if page == "cli.md" || page == "selfmon-figures.md" { // are generated
			continue
		}
		lines := strings.SplitN(read(t, page), "\n", 4)
		if !strings.HasPrefix(lines[0], "# ") || !strings.HasPrefix(lines[2], "*") || !strings.HasSuffix(lines[2], "?*") {
			t.Errorf("%s begins with %q", page, lines[:3])
		}
		if page != "README.md" && !strings.Contains(index, "("+page+")") {
			t.Errorf("%s is not in the index", page)
		}
	}
}

func TestAnchor(t *testing.T) {
	for heading, want := range map[string]string{
		"Eru's own label": "erus-own-label", "Is it well?": "is-it-well", "`via: netns`": "via-netns", "A [link](x.md) in it": "a-link-in-it", "Two  blanks_and": "two--blanks_and",
	} {
		if got := anchor(heading); got != want {
			t.Errorf("%q is %q, want %q", heading, got, want)
		}
	}
}
