package cmd

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestColours paints on a terminal alone, and not where that is unwanted.
func TestColours(t *testing.T) {
	terminal := openTerminal(t, 80, 24)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		name, noColor, term string
		want                bool
	}{
		{"a terminal", "", "xterm", true},
		{"NO_COLOR", "1", "xterm", false},
		{"TERM=dumb", "", "dumb", false},
	} {
		t.Setenv("NO_COLOR", test.noColor)
		t.Setenv("TERM", test.term)
		if got := painter(terminal)(red, "x") != "x"; got != test.want {
			t.Errorf("%s: colours %t, want %t", test.name, got, test.want)
		}
		if painter(file)(red, "x") != "x" || painter(&bytes.Buffer{})(red, "x") != "x" {
			t.Errorf("%s: colours in a file", test.name)
		}
	}
	if !isTerminal(terminal) || isTerminal(file) || isTerminal(&bytes.Buffer{}) {
		t.Error("a terminal is taken for none, or the reverse")
	}
}

// openTerminal returns the side of a pseudo-terminal that programs write to.
func openTerminal(t *testing.T, width, height uint16) *os.File {
	t.Helper()
	_, terminal := openPair(t, width, height)
	return terminal
}

// openPair returns both sides of a pseudo-terminal, that of the person first.
func openPair(t *testing.T, width, height uint16) (*os.File, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("this test needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return master, terminal
}
