package settings

import "fmt"

// fault is one thing that is wrong with the configuration.
type fault struct {
	where string // agent.yaml:3:13, a variable of the environment, or a flag
	key   string
	got   string // as a person reads it, "" if that says nothing
	want  string
}

func (e *fault) Error() string {
	if e.got == "" {
		return fmt.Sprintf("%s: %s: want %s", e.where, e.key, e.want)
	}
	return fmt.Sprintf("%s: %s: got %s, want %s", e.where, e.key, e.got, e.want)
}

// FileError is a file that the configuration names and that is of no use.
type FileError struct {
	Key string
	Err error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }
