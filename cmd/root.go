// Package cmd is the command line. It owns flags, the config file and the
// wiring of the other packages into an agent; nothing but a main package
// imports it. Who needs another kind of probe writes a main of his own that
// passes it to Main.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// version is set by the linker.
var version = "dev"

// Exit codes.
const (
	exitWell  = 0
	exitNo    = 1 // the answer is no, or the work failed
	exitUsage = 2 // the command line or the configuration is wrong
)

// usageError is the user's to mend: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

// errNo is an answer of no that has been printed already.
var errNo = errors.New("no")

// Main runs one command and returns its exit code: 0 well, 1 the answer is no,
// 2 usage or configuration. ctx, SIGINT and SIGTERM end it. probers are kinds of
// probe beside HTTP and TCP.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer, probers ...healthcheck.Prober) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := NewRoot(probers...)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var wrong usageError
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, errNo):
		return exitNo
	case errors.As(err, &wrong):
		complain(stderr, err)
		return exitUsage
	default:
		complain(stderr, "eru-agent:", err)
		return exitNo
	}
}

// complain prints its last words. A reader that does not read may keep them from
// being heard, but not the program from ending.
func complain(stderr io.Writer, words ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = fmt.Fprintln(stderr, words...)
	}()
	select {
	case <-said:
	case <-time.After(flushWithin):
	}
}

// NewRoot returns the whole command tree.
func NewRoot(probers ...healthcheck.Prober) *cobra.Command {
	root := &cobra.Command{
		Use:   "eru-agent",
		Short: "Watches the containers of a Docker node and says in etcd which of them can serve",
		Long: `eru-agent watches the containers of a Docker node, probes each over HTTP or TCP
as its labels ask, and writes into etcd which of them can serve. Proxies read it
there and switch traffic.

Exit codes: 0 well, 1 the answer is no, 2 wrong usage or configuration.`,
		SilenceUsage: true, SilenceErrors: true, DisableAutoGenTag: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	root.AddCommand(newRun(probers), newCheckConfig(), newStatus(), newProbe(probers), newVersion())
	root.InitDefaultCompletionCmd("")
	for _, c := range append(root.Commands(), root) {
		if c.HasSubCommands() {
			group(c)
			continue
		}
		wrapArgs(c)
	}
	return root
}

// group makes a command that has only others under it show its help, and a
// wrong name under it a usage error.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(fmt.Errorf("unknown command %q; see %s --help", args[0], c.CommandPath()))
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
			return usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "eru-agent %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
