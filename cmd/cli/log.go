package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger returns a logger in format, "text" or "json", which writes to out
// through Lines; the caller runs and closes them. The reader of stderr is
// journald or a person. lost counts what the log lacks.
func NewLogger(format string, level zap.AtomicLevel, out io.Writer, lost prometheus.Counter) (*zap.Logger, *Lines) {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime, encoder.EncodeDuration = zapcore.ISO8601TimeEncoder, zapcore.StringDurationEncoder
	if os.Getenv("JOURNAL_STREAM") != "" { // systemd.exec(5): journald writes the time itself
		encoder.TimeKey = zapcore.OmitKey
	}
	enc := zapcore.NewJSONEncoder(encoder)
	if format == "text" {
		encoder.EncodeLevel = zapcore.CapitalLevelEncoder
		enc = zapcore.NewConsoleEncoder(encoder)
	}
	enc = legible{enc}
	to := newLines(out, lost, func(lost int, since time.Time, why string) []byte {
		b, err := enc.EncodeEntry(zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "log lines were lost"},
			[]zapcore.Field{zap.Int("lines", lost), zap.Time("since", since), zap.String("why", why)})
		if err != nil {
			return fmt.Appendf(nil, "%d log lines were lost since %s: %s\n", lost, since, why)
		}
		defer b.Free()
		return append([]byte(nil), b.Bytes()...)
	})
	core := zapcore.NewCore(enc, to, level)
	return zap.New(zapcore.NewSamplerWithOptions(core, sampleEvery, sampleFirst, sampleThen)), to
}

// NewLinesLost returns the counter of a program whose metrics begin with prefix.
func NewLinesLost(prefix string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: prefix + "log_lines_lost_total", Help: "Log lines that could not be written: a full disk, a reader that has gone or does not read.",
	})
}

// What repeats is sampled: of equal messages the first 100 in a second are
// written, then one of 100.
const (
	sampleEvery = time.Second
	sampleFirst = 100
	sampleThen  = 100
)
