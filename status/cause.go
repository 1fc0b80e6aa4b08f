package status

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errTokenRefused says that the client cannot renew its authentication token,
// errPassword that its password is not, or no longer, the user's. Only a new
// client can sign in again.
var (
	errTokenRefused = errors.New("etcd refuses to renew an authentication token that has expired")
	errPassword     = errors.New("authentication failed, invalid user ID or password")
)

// errNoLeader says that a member is cut off from most of the others, or that
// there is nobody to lead; nothing was done.
var errNoLeader = errors.New("etcd's member knows no leader")

func refused(err error) bool { return errors.Is(err, errTokenRefused) || errors.Is(err, errPassword) }

// cause remembers why requests fail. Of one that cannot reach etcd the client
// says no more than that its deadline has passed, whatever stood in its way.
type cause struct {
	last    atomic.Pointer[string]
	trouble atomic.Pointer[error] // the last that was found with certificates
}

// intercept sees each attempt of a request below the client's own retries.
func (c *cause) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	if err == nil {
		c.last.Store(nil)
		return nil
	}
	state := status.Convert(err)
	text := state.Message()
	c.last.Store(&text)
	switch {
	case errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader):
		// The client would ask the same member until the deadline.
		return errNoLeader
	case method != pb.Auth_Authenticate_FullMethodName:
	case state.Code() == codes.Unauthenticated:
		// A 3.4 server looks at the expired token even where a new one is asked
		// for, and the client would ask until the deadline.
		return errTokenRefused
	case errors.Is(rpctypes.Error(err), rpctypes.ErrAuthFailed):
		return errPassword
	}
	return err
}

// found remembers what is wrong with certificates, and returns it.
func (c *cause) found(trouble error) error {
	c.trouble.Store(&trouble)
	return trouble
}

// explain puts into the place of a passed deadline what the last attempt met.
func (c *cause) explain(err error) error {
	text := c.last.Load()
	if !errors.Is(err, context.DeadlineExceeded) || text == nil || *text == err.Error() {
		return err
	}
	if trouble := c.trouble.Load(); trouble != nil && strings.Contains(*text, quoted(*trouble)) {
		return *trouble
	}
	return fmt.Errorf("%w: %s", err, *text)
}

// quoted is how gRPC writes an error into its own.
func quoted(err error) string {
	q := strconv.Quote(err.Error())
	return q[1 : len(q)-1]
}
