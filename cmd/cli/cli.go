// Package cli is what the command lines of all programs have in common: exit
// codes, what a wrong usage is answered with, and the log that is never waited
// for. What commands there are is the programs'.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/foreign"
)

// Exit codes.
const (
	ExitWell  = 0
	ExitNo    = 1 // the answer is no, or the work failed
	ExitUsage = 2 // the command line or the configuration is wrong
)

// usageError is the user's to mend: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes err one that the user is to mend: exit code 2.
func Usage(err error) error { return usageError{err} }

// ErrNo is an answer of no that has been printed already.
var ErrNo = errors.New("no")

// Main runs one command of root and returns its exit code: 0 well, 1 the answer
// is no, 2 usage or configuration. ctx, SIGINT and SIGTERM end it.
func Main(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var wrong usageError
	switch {
	case err == nil:
		return ExitWell
	case errors.Is(err, ErrNo):
		return ExitNo
	case errors.As(err, &wrong):
		complain(stderr, err)
		return ExitUsage
	default:
		complain(stderr, root.Name()+":", err)
		return ExitNo
	}
}

// complain prints its last words, in which others' words may stand. A reader that does not read may keep them from
// being heard, but not the program from ending.
func complain(stderr io.Writer, words ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = fmt.Fprintln(stderr, foreign.Lines(strings.TrimSuffix(fmt.Sprintln(words...), "\n")))
	}()
	select {
	case <-said:
	case <-time.After(flushWithin):
	}
}

// Tree makes a whole command line of root and commands: every wrong usage is a
// usage error.
func Tree(root *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	root.SilenceUsage, root.SilenceErrors, root.DisableAutoGenTag = true, true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return Usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	root.AddCommand(commands...)
	root.InitDefaultCompletionCmd("")
	finish(root)
	return root
}

// finish makes wrong arguments of c, and of all under it, usage errors.
func finish(c *cobra.Command) {
	for _, sub := range c.Commands() {
		finish(sub)
	}
	if c.HasSubCommands() {
		group(c)
		return
	}
	wrapArgs(c)
}

// group makes a command that has only others under it show its help, and a
// wrong name under it a usage error.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return Usage(fmt.Errorf("unknown command %q; see %s --help", args[0], c.CommandPath()))
		}
		return c.Help()
	}
}

// wrapArgs makes a wrong number of arguments a usage error.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return Usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
		}
		return nil
	}
}

// Frugal lets the heap grow by a half before it is collected, where Go lets it
// double: the node's memory is worth more than the CPU that this takes, which is
// hardly to be measured (docs/performance.md). GOGC says otherwise.
func Frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// Machine names this machine to other machines: host name and the beginning of
// the machine ID, because clones share one of the two.
func Machine() string {
	host, _ := os.Hostname()
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(id) < 8 {
		return host
	}
	return host + "/" + string(id[:8])
}
