// Package systemd owns the conversation with the service manager: readiness, reload, stop, the status line and the
// watchdog, as sd_notify(3) defines them. It leaves to others what ready and alive mean, and when to say so.
//
// Outside systemd (NOTIFY_SOCKET is not set) every call is a no-op, so no caller has to ask where it runs.
package systemd

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// maxStatus bounds a status line in bytes: systemd drops a whole datagram of more than 4096.
const maxStatus = 1024

// Ready tells systemd that the service has started, or that a reload is over, and sets the status line.
func Ready(status string) error {
	return send(daemon.SdNotifyReady + "\n" + statusLine(status))
}

// Reloading tells systemd that the configuration is being read again. Whatever comes of it, the caller must call Ready
// afterwards: until then systemd holds the unit for reloading.
func Reloading() error {
	return send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping tells systemd that the service is on its way out, and sets the status line.
func Stopping(status string) error {
	return send(daemon.SdNotifyStopping + "\n" + statusLine(status))
}

// Status sets the line that `systemctl status` shows. Line breaks become spaces and it is cut at 1024 bytes.
func Status(s string) error {
	return send(statusLine(s))
}

// Watchdog blocks until ctx is done and then returns nil. Where the unit has a WatchdogSec (WATCHDOG_USEC is set) it asks
// alive at once and then at half of that time, and pings systemd for each nil that comes before the next turn; in any
// other case it says nothing, and systemd restarts the service when WatchdogSec is over. alive must give up when its
// context ends. The only error is a WATCHDOG_USEC or WATCHDOG_PID that cannot be read.
func Watchdog(ctx context.Context, alive func(context.Context) error) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("reading the watchdog's time: %w", err)
	}
	if limit == 0 {
		<-ctx.Done()
		return nil
	}
	watch(ctx, limit/2, alive, func() {
		// A ping that is lost counts like one that was not due: the next may arrive, and if none does, a restart is right.
		_ = send(daemon.SdNotifyWatchdog)
	})
	return nil
}

// watch calls ping for every turn in which alive said yes in time.
func watch(ctx context.Context, every time.Duration, alive func(context.Context) error, ping func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if inTime(ctx, every, alive) {
			ping()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// inTime is false also for a nil that came late: a service that needs that long is not well.
func inTime(ctx context.Context, limit time.Duration, alive func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return alive(ctx) == nil && ctx.Err() == nil
}

func send(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notifying systemd: %w", err)
	}
	return nil
}

// statusLine keeps a text from becoming assignments of its own, and valid UTF-8, without which systemd ignores it.
func statusLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxStatus {
		s = s[:maxStatus]
	}
	return "STATUS=" + strings.ToValidUTF8(s, "")
}
