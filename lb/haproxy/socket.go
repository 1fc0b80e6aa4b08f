// Package haproxy brings a running HAProxy to what services are, over its
// runtime socket. It owns the socket's language, which server stands in which
// slot of a backend, and the file from which a reloaded HAProxy takes up its
// servers; what the servers are is package lb's.
package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"
)

const (
	// askWithin bounds one question with its answer.
	askWithin = 2 * time.Second
	// maxAnswer bounds an answer in bytes: `show servers state` takes some 150 for
	// each server.
	maxAnswer = 16 << 20
	// maxLine bounds a line of commands in bytes: HAProxy takes no more than its
	// tune.bufsize, 16 KiB if nobody has made it smaller.
	maxLine = 4 << 10
)

// denied is what HAProxy says to who has no right to ask; its socket needs level
// admin.
const denied = "Permission denied"

// Kinds of what may go wrong, as lb's metrics have them.
const (
	whySocket  = "socket"  // it cannot be reached, or does not answer
	whyRights  = "rights"  // it does not let us
	whyBackend = "backend" // it has no such backend
	whySlots   = "slots"   // no slot is free, and no server can be added
	whyAnswer  = "answer"  // it answers nonsense
	whyRefused = "refused" // it does not do as told
	whyFile    = "file"    // the state file cannot be written
)

// Kinds implements lb.Classifier.
func (o *Outlet) Kinds() []string {
	return []string{whySocket, whyRights, whyBackend, whySlots, whyAnswer, whyRefused, whyFile}
}

// fault is what went wrong with HAProxy.
type fault struct {
	why string
	err error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// Why is the kind of it, one of a few words.
func (f *fault) Why() string { return f.why }

func faultf(why, format string, args ...any) error {
	return &fault{why, fmt.Errorf(format, args...)}
}

// socket is HAProxy's runtime socket (its management guide, 9.3).
type socket string

// ask sends commands over a connection of their own and returns all that is
// answered.
func (s socket) ask(ctx context.Context, commands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", string(s))
	if err != nil {
		kind := whySocket
		if errors.Is(err, fs.ErrPermission) {
			kind = whyRights
		}
		return "", faultf(kind, "asking HAProxy: %w", err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails on a connection that is closed only
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, strings.Join(commands, ";")+"\n"); err != nil {
		return "", faultf(whySocket, "asking HAProxy at %q: %w", string(s), err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	switch {
	case err != nil:
		return "", faultf(whySocket, "reading HAProxy's answer at %q: %w", string(s), err)
	case len(answer) > maxAnswer:
		return "", faultf(whyAnswer, "reading HAProxy's answer at %q: it has more than %d bytes", string(s), maxAnswer)
	case strings.HasPrefix(string(answer), denied):
		return "", faultf(whyRights, "asking HAProxy at %q for %q: it says: %s", string(s), commands[0], denied)
	}
	return string(answer), nil
}

// tell sends commands, as many at once as HAProxy takes, and returns what it has
// to say against them. Whether they were followed is for the reader of its state.
func (s socket) tell(ctx context.Context, commands []string) ([]string, error) {
	var against []string
	for len(commands) > 0 {
		n, size := 0, 0
		for n < len(commands) && (n == 0 || size+len(commands[n]) < maxLine) {
			size += len(commands[n]) + 1
			n++
		}
		answer, err := s.ask(ctx, commands[:n]...)
		if err != nil {
			return nil, err
		}
		against = append(against, complaints(answer)...)
		commands = commands[n:]
	}
	return against, nil
}

// complaints are the lines of an answer that do not say that all is well.
func complaints(answer string) []string {
	var lines []string
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		well := line == ""
		for _, beginning := range []string{"IP changed from", "no need to change", "New server registered", "Server deleted"} {
			well = well || strings.HasPrefix(line, beginning)
		}
		if !well {
			lines = append(lines, line)
		}
	}
	return lines
}
