package spelling_test

import (
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/spelling"
)

func TestNearest(t *testing.T) {
	kinds, keys := []string{"http", "tcp"}, []string{"body", "host", "path", "port", "tls.server_name", "tls.skip_verify"}
	for _, tt := range []struct {
		word  string
		known []string
		want  string
	}{
		{"htp", kinds, "http"},
		{"https", kinds, "http"},
		{"HTTP", kinds, "http"},
		{"tpc", kinds, "tcp"},
		{"grpc", kinds, ""},
		{"dubbo", kinds, ""},
		{"", kinds, ""},
		{"http", nil, ""},
		{"prot", keys, "port"},
		{"tls.skip-verify", keys, "tls.skip_verify"},
		{"tls.verify", keys, ""},
		{"xost", []string{"post", "host"}, "post"}, // the first of equals
		{strings.Repeat("x", 257), []string{strings.Repeat("x", 256)}, ""},
	} {
		if got := spelling.Nearest(tt.word, tt.known); got != tt.want {
			t.Errorf("%.20q of %q: got %q, want %q", tt.word, tt.known, got, tt.want)
		}
	}
}
