// Package foreign makes fit to be shown what others wrote: labels, names of
// containers, answers of servers, values of etcd. It owns the one rule of what
// may reach a terminal, a page, the log or etcd, and imports nothing of ours, so
// that every package can keep it.
//
// The rule: a character stands as it is if it is a letter, a digit, a sign or a
// mark of its own, and can be seen. White space becomes a space. Whatever else
// there is becomes a "?": control characters, so that no escape sequence begins;
// what turns the direction of writing; what takes no room; bytes that are not
// UTF-8; and all but the first few marks on top of one letter.
package foreign

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxText is the longest Text in bytes: what stands of others' words in etcd,
	// and in one field of a table.
	MaxText = 256
	// maxLines bounds Lines, in bytes.
	maxLines = 8 << 10
	// maxMarks is how many marks may stand on one letter; Vietnamese takes two.
	maxMarks = 3
)

const (
	placeholder = '?'
	ellipsis    = "…"
)

// Text is s in one line of at most MaxText bytes.
func Text(s string) string { return Within(s, MaxText) }

// Within is s in one line of no more than most bytes, which are at least 3. The end of
// what is cut off is said by an ellipsis, and no character is split.
func Within(s string, most int) string {
	return cut(shown(head(s, most), false), most)
}

// Quote is no more than most bytes of s, which are at least 3, as a string of Go:
// what Text would not show is spelt.
func Quote(s string, most int) string { return shown(strconv.Quote(cut(s, most)), false) }

// Lines is Text for what may have several lines, such as an error.
func Lines(s string) string {
	return cut(shown(head(s, maxLines), true), maxLines)
}

// head leaves out what would be cut off anyway: a rule must not cost more for
// 10 MB than for a line. A character takes as many bytes as before, or fewer.
func head(s string, most int) string {
	const longest = utf8.UTFMax
	if len(s) <= longest*(most+1) {
		return s
	}
	return s[:longest*(most+1)]
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - len(ellipsis)
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + ellipsis
}

func shown(s string, lines bool) string {
	if plain(s) {
		return s
	}
	marks := 0
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case lines && (r == '\n' || r == '\t'):
			return r
		case unicode.IsSpace(r):
			return ' '
		case !visible(r), marks > maxMarks:
			return placeholder
		}
		return r
	}, s)
}

// plain says whether s is as most texts are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// visible says whether r can be seen and does nothing. Unicode calls some letters
// ignorable that fonts show as nothing: the fillers of Hangul, say.
func visible(r rune) bool {
	return r != utf8.RuneError && unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
