package stage

import (
	"encoding/json"
	"fmt"
	"os"
)

// The variables that make a copy of this program something else. An agent in it
// would take those that begin as its own do for its configuration.
const (
	roleVar = "ERU_BENCH_ROLE"
	specVar = "ERU_BENCH_SPEC"
)

// Part is what a copy of this program does instead of measuring, as it is told.
type Part func(told []byte) error

// As is the part of one that is told an S.
func As[S any](do func(S) error) Part {
	return func(told []byte) error {
		var spec S
		if err := json.Unmarshal(told, &spec); err != nil {
			return fmt.Errorf("reading what to do: %w", err)
		}
		return do(spec)
	}
}

// Play plays the part that this process was started for; false if it is the one
// that measures.
func Play(parts map[string]Part) (bool, error) {
	role := os.Getenv(roleVar)
	if role == "" {
		return false, nil
	}
	part, ok := parts[role]
	if !ok {
		return true, fmt.Errorf("no process is called %q", role)
	}
	return true, part([]byte(os.Getenv(specVar)))
}
