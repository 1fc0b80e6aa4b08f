package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// TestForeignTextInTheLog holds that nothing others wrote acts on a terminal that
// shows the log, or fills it.
func TestForeignTextInTheLog(t *testing.T) {
	hostile := "a\x1b[31m\u009b2J\u202eb\xff\u2028" + strings.Repeat("é", 10<<10)
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, lines := cli.NewLogger(format, zap.NewAtomicLevel(), &out, cli.NewLinesLost("test_"))
		go lines.Run()
		log.With(zap.String("kept", hostile[:20])).Info("said", zap.String("name", hostile), zap.Error(errors.New(hostile)), zap.ByteString("value", []byte(hostile)),
			zap.Strings("names", []string{hostile[:20]}), zap.Int("n", 7))
		lines.Close()
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), func(r rune) bool { return !unicode.IsPrint(r) }) || strings.Contains(line, "\n") {
			t.Errorf("%s: not fit to be shown: %q", format, line)
		}
		if len(line) > 5<<10 || !strings.Contains(line, "…") || !strings.Contains(line, "7") {
			t.Errorf("%s: %d bytes: %.200q", format, len(line), line)
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line[strings.Index(line, "{"):]), &fields); err != nil || !strings.HasPrefix(fields["kept"].(string), "a\x1b[31m") {
			t.Errorf("%s: a program does not read it: %v %q", format, err, fields["kept"])
		}
	}
}
