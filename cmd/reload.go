package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon"
)

// reloadable says whether a key's new value is taken without a restart.
func reloadable(key string) bool {
	return key == "log.level" || strings.HasPrefix(key, "healthcheck.")
}

// reload takes over what it can of a new configuration, and tells what came of
// it. A bad one changes nothing.
func (d *daemon) reload(ctx context.Context, l *loader) {
	did := selfmon.Reload{At: time.Now(), Changed: []selfmon.Change{}, Refused: []selfmon.Change{}}
	again, err := l.again(os.Environ())
	if err != nil {
		d.log.Error("the new configuration is wrong; the old one stays in force", zap.Error(err))
		did.Error = err.Error()
		d.selfmon.Reloaded(did)
		return
	}
	did.Changed, did.Refused = difference(l.Schema(), again.Schema())
	if d.take(ctx, again.cfg) != nil {
		return // the agent stops
	}
	remember(l.Schema(), again.Schema(), did.Changed)
	d.log.Info("the configuration was read again", zap.Strings("taken", spelt(did.Changed)))
	if len(did.Refused) > 0 {
		d.log.Warn("some keys are taken only after a restart", zap.Strings("keys", spelt(did.Refused)))
	}
	d.selfmon.Reloaded(did)
}

// again loads anew what l has loaded before: the same flags, the file and the
// files that it names as they are now.
func (l *loader) again(env []string) (*loader, error) {
	again := newLoader()
	again.File = l.File
	l.Schema().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			copyFlag(again.Schema().Lookup(f.Name), f)
		}
	})
	cfg, err := again.load(env)
	if err != nil {
		return nil, err
	}
	return again, again.Placed(cfg.checkFiles())
}

// take puts into force what is reloadable of cfg. It fails only when ctx ends.
func (d *daemon) take(ctx context.Context, cfg *config) error {
	_ = d.level.UnmarshalText([]byte(cfg.log.Level)) // checked when it was loaded
	d.health.Store(&cfg.health)
	d.runner.Configure(cfg.health)
	if d.canary != nil {
		_ = d.canary.Care(healthcheck.NewParser(cfg.health)) // its labels are as they were at the start
	}
	return d.agent.Reparse(ctx, healthcheck.NewParser(cfg.health, d.probers...))
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
// that wait for a restart. No value is a secret: secrets are in files of their
// own.
func difference(was, is *pflag.FlagSet) ([]selfmon.Change, []selfmon.Change) {
	taken, waiting := []selfmon.Change{}, []selfmon.Change{}
	is.VisitAll(func(f *pflag.Flag) {
		change := selfmon.Change{Key: f.Name, Old: was.Lookup(f.Name).Value.String(), New: f.Value.String()}
		switch {
		case change.Old == change.New:
		case reloadable(f.Name):
			taken = append(taken, change)
		default:
			waiting = append(waiting, change)
		}
	})
	return taken, waiting
}

// remember keeps what is in force now, for the next reload.
func remember(was, is *pflag.FlagSet, taken []selfmon.Change) {
	for _, c := range taken {
		to := was.Lookup(c.Key)
		changed := to.Changed
		copyFlag(to, is.Lookup(c.Key))
		to.Changed = changed
	}
}

// spelt is a line for each change.
func spelt(changes []selfmon.Change) []string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = fmt.Sprintf("%s: %s -> %s", c.Key, shown(c.Old), shown(c.New))
	}
	return lines
}

func shown(value string) string {
	if value == "" {
		return `""`
	}
	return value
}
