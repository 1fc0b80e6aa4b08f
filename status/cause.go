package status

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errTokenRefused says that the client cannot renew its authentication token.
var errTokenRefused = errors.New("etcd refuses to renew an authentication token that has expired")

func refused(err error) bool { return errors.Is(err, errTokenRefused) }

// cause remembers why requests fail. Of one that cannot reach etcd the client
// says no more than that its deadline has passed, whatever stood in its way.
type cause struct{ last atomic.Pointer[string] }

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
	if method == pb.Auth_Authenticate_FullMethodName && state.Code() == codes.Unauthenticated {
		// A 3.4 server looks at the expired token even where a new one is asked
		// for, and the client would ask until the deadline.
		return errTokenRefused
	}
	return err
}

// explain adds to a passed deadline what the last attempt met.
func (c *cause) explain(err error) error {
	text := c.last.Load()
	if !errors.Is(err, context.DeadlineExceeded) || text == nil || *text == err.Error() {
		return err
	}
	return fmt.Errorf("%w: %s", err, *text)
}
