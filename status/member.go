package status

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Store speaks to one member of the cluster at a time, and leaves it for the
// next when it is of no use. The client's own way, each call to another member,
// let one that hung stop all writing for as long as it did: a claim and a write
// are some calls in a row, and one of these always met it.

const (
	// silence is after what a member that has sent nothing at all since it was
	// asked is taken for dead. A living one acknowledges a question although it
	// may need time for the answer: gRPC's server measures the way by a ping of
	// its own.
	silence = time.Second
	// staying is how long a member is kept once all of them have been tried in
	// vain: then it is the cluster, and does not need our connecting anew.
	staying = 3 * time.Second
	// calm is for how long no call may have timed out for a member to be given
	// half the time alone: what it passed on to a leader that is dead is not
	// answered, and another one may know the new leader already. A cluster that is
	// slow gets all the time.
	calm = time.Minute
)

// patience is how long a call may take.
func (s *Store) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cfg.Endpoints) > 1 && time.Since(s.late) > calm {
		return s.cfg.Timeout / 2
	}
	return s.cfg.Timeout
}

// heard is when anything came from etcd.
type heard struct{ last atomic.Int64 }

func (h *heard) since(t time.Time) bool { return h.last.Load() >= t.UnixNano() }

// dial notes what comes over the connection that it makes.
func (h *heard) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Control: giveUp}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &listened{conn, h}, nil
}

// giveUp ends a connection over which what was sent is not acknowledged. gRPC does
// the same with the connections that it dials itself.
func giveUp(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(keepAliveTimeout/time.Millisecond))
	})
	return errors.Join(err, failed)
}

type listened struct {
	net.Conn
	heard *heard
}

func (l *listened) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.heard.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// oneMember makes the client stay with the first endpoint that can be reached.
func (s *Store) oneMember() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithContextDialer(s.heard.dial)}
}

// listening leaves the client's member if that is silent about a call that
// begins now; the returned function ends this.
func (s *Store) listening(client *clientv3.Client) func() bool {
	begin := time.Now()
	return time.AfterFunc(silence, func() {
		if !s.heard.since(begin) {
			s.leave(client)
		}
	}).Stop
}

// judge learns from a call's end whether its member is of use.
func (s *Store) judge(ctx context.Context, client *clientv3.Client, err error) {
	if err == nil {
		s.mu.Lock()
		s.left = 0
		s.mu.Unlock()
	} else if ctx.Err() == nil && useless(err) { // else nobody wants to know any more
		s.leave(client)
		if timedOut(err) {
			s.mu.Lock()
			s.late = time.Now()
			s.mu.Unlock()
		}
	}
}

// useless says that a call failed because of who was asked and not of what.
func useless(err error) bool {
	var told rpctypes.EtcdError
	if errors.As(err, &told) {
		return told.Code() == codes.Unavailable
	}
	return errors.Is(err, errNoLeader) || timedOut(err) || status.Code(err) == codes.Unavailable
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// leave ends a client, and all that is under way through it, so that the next
// one begins with another member.
func (s *Store) leave(client *clientv3.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.cfg.Endpoints)
	if s.client != client || n == 1 || (s.left >= n && time.Since(s.leftAt) < staying) {
		return
	}
	s.left, s.leftAt, s.first = s.left+1, time.Now(), (s.first+1)%n
	s.dropLocked()
}

// uses says whether a client is still the one in use.
func (s *Store) uses(client *clientv3.Client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client == client
}
