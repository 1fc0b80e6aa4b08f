package settings

import (
	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
)

// Log are the keys that say what is logged and how.
type Log struct{ Level, Format string }

// Flags adds the keys to f.
func (l *Log) Flags(f *pflag.FlagSet) {
	f.StringVar(&l.Level, "log.level", "info", "debug, info, warn or error")
	f.StringVar(&l.Format, "log.format", "text", "text or json")
}

// LogRules are the rules of those keys in a configuration that has them at get.
func LogRules[C any](get func(c *C) *Log) []Rule[C] {
	return []Rule[C]{
		{Key: "log.level", Want: "debug, info, warn or error", OK: func(c *C) bool { return validLevel(get(c).Level) }},
		{Key: "log.format", Want: "text or json", OK: func(c *C) bool { return get(c).Format == "text" || get(c).Format == "json" }},
	}
}

func validLevel(s string) bool {
	level, err := zapcore.ParseLevel(s)
	return err == nil && level >= zapcore.DebugLevel && level <= zapcore.ErrorLevel
}
