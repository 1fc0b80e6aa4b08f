package settings

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NewCheckConfig returns the command that loads as the program would; further
// checks what the rules cannot, such as the files that are named.
func (l *Loader) NewCheckConfig(further func() error) *cobra.Command {
	c := &cobra.Command{
		Use: "check-config [FILE]", Short: "Check the configuration and show what is in force",
		Long: `Check the configuration file, the environment and the flags as run would, and show
each key's value and where it comes from. Nothing is started. Secrets stay in
their files and are not shown.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				l.File = args[0]
			}
			if err := l.Load(os.Environ()); err != nil {
				return err
			}
			if err := further(); err != nil {
				return l.Placed(err)
			}
			return l.show(c)
		},
	}
	l.AddTo(c.Flags(), "")
	return c
}

func (l *Loader) show(c *cobra.Command) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tVALUE\tFROM")
	l.schema.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, value, l.where[f.Name])
	})
	return w.Flush()
}
