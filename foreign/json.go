package foreign

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON is encoded JSON in which whatever Text would not show is spelt \uXXXX: a
// program reads the same, and a terminal shows it. Bytes that are not UTF-8, which
// no JSON may hold, become the replacement character. White space between values
// stays.
func JSON(encoded []byte) []byte {
	if plainJSON(encoded) {
		return encoded
	}
	out := make([]byte, 0, len(encoded)+16)
	for len(encoded) > 0 {
		r, size := utf8.DecodeRune(encoded)
		switch {
		case r < ' ' && (r == '\n' || r == '\t' || r == '\r'), visible(r):
			out = append(out, encoded[:size]...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		encoded = encoded[size:]
	}
	return out
}

func plainJSON(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\n' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}
