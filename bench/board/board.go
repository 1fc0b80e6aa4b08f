// Package board is memory that the processes of one run share: the targets and
// the yardsticks count on it, the bench reads. So what was probed, and when, is
// known without asking anybody who is being measured.
package board

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Most is how many targets there may be.
	Most = 1 << 16
	ring = 1 << 20 // starts that are kept
)

// Board is mapped from a file. Times are CLOCK_MONOTONIC in nanoseconds.
type Board struct {
	// Passed and Failed are what a yardstick says of its own probes.
	Passed, Failed atomic.Int64

	accepted atomic.Int64
	first    [Most]atomic.Int64 // accept of each target since Forget; 0 for none
	starts   [ring]atomic.Int64
}

// Address is where target i answers, one of 127.1.0.0/16.
func Address(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}) }

// Create makes a board in a file that must not exist.
func Create(path string) (*Board, error) { return open(path, os.O_CREATE|os.O_EXCL) }

// Open shares the board of another process.
func Open(path string) (*Board, error) { return open(path, 0) }

func open(path string, flags int) (*Board, error) {
	const size = int(unsafe.Sizeof(Board{}))
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the board: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, fmt.Errorf("sizing the board: %w", err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the board: %w", err)
	}
	return (*Board)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// Accept notes that target i was connected to.
func (b *Board) Accept(i int, now time.Duration) {
	b.starts[(b.accepted.Add(1)-1)%ring].Store(int64(now))
	b.first[i].CompareAndSwap(0, int64(now))
}

// Forget begins anew with who has been probed.
func (b *Board) Forget() {
	for i := range b.first {
		b.first[i].Store(0)
	}
}

// Probed is how many of the first n targets were probed since Forget, and when
// the last of them was for the first time.
func (b *Board) Probed(n int) (int, time.Duration) {
	count, last := 0, time.Duration(0)
	for i := range n {
		if at := time.Duration(b.first[i].Load()); at > 0 {
			count++
			last = max(last, at)
		}
	}
	return count, last
}

// Starts are the times of all accepts in [from, to) that are still kept.
func (b *Board) Starts(from, to time.Duration) []time.Duration {
	var times []time.Duration
	for i := range b.starts {
		if at := time.Duration(b.starts[i].Load()); at >= from && at < to && at > 0 {
			times = append(times, at)
		}
	}
	return times
}
