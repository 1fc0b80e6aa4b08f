package cmd

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// reloadable says whether a key's new value is taken without a restart.
func reloadable(key string) bool {
	return key == "log.level" || strings.HasPrefix(key, "healthcheck.") && key != "healthcheck.concurrency"
}

// reload takes over what it can of a new configuration. A bad one changes
// nothing and says so.
func (d *daemon) reload(ctx context.Context, l *loader) {
	again := newLoader()
	again.File = l.File
	l.Schema().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			copyFlag(again.Schema().Lookup(f.Name), f)
		}
	})
	cfg, err := again.load(os.Environ())
	if err != nil {
		d.log.Error("the new configuration is wrong; the old one stays in force", zap.Error(err))
		return
	}
	taken, waiting := difference(l.Schema(), again.Schema())
	_ = d.level.UnmarshalText([]byte(cfg.log.Level)) // checked when it was loaded
	d.runner.Configure(cfg.health)
	if err := d.agent.Reparse(ctx, healthcheck.NewParser(cfg.health, d.probers...)); err != nil {
		return // the agent stops
	}
	d.log.Info("the configuration was read again", zap.Strings("taken", taken))
	if len(waiting) > 0 {
		d.log.Warn("some keys are taken only after a restart", zap.Strings("keys", waiting))
	}
}

func copyFlag(to, from *pflag.Flag) {
	to.Changed = true
	if many, ok := from.Value.(pflag.SliceValue); ok {
		_ = to.Value.(pflag.SliceValue).Replace(many.GetSlice())
		return
	}
	_ = to.Value.Set(from.Value.String()) // the same type wrote it
}

// difference names the keys whose value is new: those that are taken, and those
// that wait for a restart.
func difference(was, is *pflag.FlagSet) ([]string, []string) {
	var taken, waiting []string
	is.VisitAll(func(f *pflag.Flag) {
		switch {
		case was.Lookup(f.Name).Value.String() == f.Value.String():
		case reloadable(f.Name):
			taken = append(taken, f.Name)
			copyValue(was.Lookup(f.Name), f)
		default:
			waiting = append(waiting, f.Name)
		}
	})
	return taken, waiting
}

// copyValue remembers what is in force, for the next reload.
func copyValue(to, from *pflag.Flag) {
	changed := to.Changed
	copyFlag(to, from)
	to.Changed = changed
}
