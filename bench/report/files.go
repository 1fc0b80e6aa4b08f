package report

import (
	"errors"
	"flag"
	"io"
)

// Files are where a report goes to, besides the table that is printed; "" for
// nowhere.
type Files struct {
	JSON, Markdown string
	From           string // what JSON was of an earlier run: nothing is measured
}

// Define makes them flags.
func (to *Files) Define(f *flag.FlagSet, doc string) {
	f.StringVar(&to.JSON, "json", "", "write all figures to `FILE`")
	f.StringVar(&to.Markdown, "markdown", "", "write the tables to `FILE`, as "+doc+" has them")
	f.StringVar(&to.From, "from", "", "measure nothing; show what -json wrote to `FILE`")
}

// Publish prints the table and writes the files.
func (r *Report) Publish(out io.Writer, to Files) error {
	err := r.Print(out)
	if to.JSON != "" {
		err = errors.Join(err, r.Write(to.JSON))
	}
	if to.Markdown != "" {
		err = errors.Join(err, r.Markdown(to.Markdown))
	}
	return err
}
