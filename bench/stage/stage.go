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

// Open starts etcd and the targets. In bin are the programs eru-agent, etcd and
// web.
func Open(ctx context.Context, bin string) (*Stage, error) {
	s := &Stage{bin: bin, nursery: newNursery()}
	s.onClose(s.nursery.end)
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context) error {
	for _, program := range []string{"eru-agent", "etcd", "web"} {
		if _, err := os.Stat(s.program(program)); err != nil {
			return fmt.Errorf("finding the programs (`make bench` builds them): %w", err)
		}
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "eru-agent-bench-"); err != nil {
		return fmt.Errorf("making a place for files: %w", err)
	}
	s.onClose(func() { _ = os.RemoveAll(s.dir) })
	if s.Board, err = board.Create(s.boardFile()); err != nil {
		return err
	}
	targets, err := s.child("target", target.Spec{Board: s.boardFile()})
	if err != nil {
		return err
	}
	s.onClose(targets.End)
	line, err := targets.line(ctx)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(line, 10, 16)
	if err != nil {
		return fmt.Errorf("reading the targets' port: %w", err)
	}
	s.Port = uint16(port)
	s.Etcd, err = s.startEtcd(ctx)
	return err
}

// Close ends everything, last first.
func (s *Stage) Close() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
}

func (s *Stage) onClose(f func()) { s.ends = append(s.ends, f) }

func (s *Stage) program(name string) string { return filepath.Join(s.bin, name) }

func (s *Stage) boardFile() string { return filepath.Join(s.dir, "board") }

// unique is a name that nothing else of this run has.
func (s *Stage) unique(what string) string {
	s.serial++
	return what + strconv.Itoa(s.serial)
}

// ownHost is a loopback address that no other process uses, so that the ports
// on it are free: 127.128.0.0/9 is large enough to derive it from our number.
func (s *Stage) ownHost() string {
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
