// Package stage sets up what is measured and what it stands on, each in a
// process of its own: the real agent, a real etcd, the targets, the yardsticks.
// The fake Docker and the witness of etcd are in the bench's process. All of it
// ends with the stage, and with the bench if that is killed.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/target"
)

// Stage is what all measurements share.
type Stage struct {
	Board *board.Board
	Etcd  *Etcd
	Port  uint16 // of every target

	bin     string // where the programs are
	dir     string // for what is written
	group   string // control group; "" before the first
	nursery *nursery
	serial  int
	ends    []func()
}

// New makes an empty stage. In bin are programs.
func New(bin string, programs ...string) (*Stage, error) {
	s := &Stage{bin: bin, nursery: newNursery()}
	s.onClose(s.nursery.end)
	var err error
	for _, program := range programs {
		if _, err = os.Stat(s.Program(program)); err != nil {
			err = fmt.Errorf("finding the programs (`make bench` builds them): %w", err)
			break
		}
	}
	if err == nil {
		if s.dir, err = os.MkdirTemp("", "eru-agent-bench-"); err != nil {
			err = fmt.Errorf("making a place for files: %w", err)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	s.onClose(func() { _ = os.RemoveAll(s.dir) })
	return s, nil
}

// Open starts etcd and the targets. In bin are the programs eru-agent, etcd and
// web.
func Open(ctx context.Context, bin string) (*Stage, error) {
	s, err := New(bin, "eru-agent", "etcd", "web")
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context) error {
	var err error
	if s.Board, err = board.Create(s.file("board")); err != nil {
		return err
	}
	if s.Port, err = s.Targets(ctx, s.here(), s.file("board")); err != nil {
		return err
	}
	return s.StartEtcd(ctx, s.here())
}

// Targets starts what is probed on a host, and returns its port. It counts on a
// board.
func (s *Stage) Targets(ctx context.Context, on Host, board string) (uint16, error) {
	targets, err := s.ChildOn(on, "target", target.Spec{Board: board})
	if err != nil {
		return 0, err
	}
	s.onClose(targets.End)
	line, err := targets.Line(ctx)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(line, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("reading the targets' port: %w", err)
	}
	return uint16(port), nil
}

// Close ends everything, last first.
func (s *Stage) Close() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
}

func (s *Stage) onClose(f func()) { s.ends = append(s.ends, f) }

// Program is the path of one that is measured.
func (s *Stage) Program(name string) string { return filepath.Join(s.bin, name) }

// file is one of the run's own.
func (s *Stage) file(name string) string { return filepath.Join(s.dir, name) }

// Dir makes a folder that goes with the stage.
func (s *Stage) Dir(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making a place for %s: %w", name, err)
	}
	return dir, nil
}

// unique is a name that nothing else of this run has.
func (s *Stage) unique(what string) string {
	s.serial++
	return what + strconv.Itoa(s.serial)
}

// Host is a loopback address that no other process uses, so that the ports
// on it are free: 127.128.0.0/9 is large enough to derive it from our number.
func (s *Stage) Host() string {
	s.serial++
	n := os.Getpid()*64 + s.serial
	return net.IPv4(127, 128|byte(n>>16), byte(n>>8), byte(n)|1).String()
}

// tail is the end of a file, for people.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-2048):]))
}

// Until asks every two milliseconds until the answer is yes, for as long as ctx.
func Until(ctx context.Context, what string, ask func() bool) error {
	for !ask() {
		if err := kernel.Sleep(ctx, pollEvery); err != nil {
			return errors.Join(fmt.Errorf("waiting for %s", what), err)
		}
	}
	return nil
}
