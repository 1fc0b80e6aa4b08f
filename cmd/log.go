package cmd

import (
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger writes to stderr: its reader is journald or a person.
func (c *config) logger(level zap.AtomicLevel) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime, encoder.EncodeDuration = zapcore.ISO8601TimeEncoder, zapcore.StringDurationEncoder
	if os.Getenv("JOURNAL_STREAM") != "" { // systemd.exec(5): journald writes the time itself
		encoder.TimeKey = zapcore.OmitKey
	}
	enc := zapcore.NewJSONEncoder(encoder)
	if c.log.format == "text" {
		encoder.EncodeLevel = zapcore.CapitalLevelEncoder
		enc = zapcore.NewConsoleEncoder(encoder)
	}
	core := zapcore.NewCore(enc, zapcore.Lock(os.Stderr), level)
	return zap.New(zapcore.NewSamplerWithOptions(core, sampleEvery, sampleFirst, sampleThen))
}

// What repeats is sampled: of equal messages the first 100 in a second are
// written, then one of 100.
const (
	sampleEvery = time.Second
	sampleFirst = 100
	sampleThen  = 100
)
