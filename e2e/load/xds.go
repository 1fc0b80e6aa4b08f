package load

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/emptypb"
)

// XDS calls a service as a gRPC client that follows eru-lb xds. Close ends it.
type XDS struct{ conn *grpc.ClientConn }

// Insecure are the credentials of a client to a control plane without TLS, as
// its bootstrap has them.
const Insecure = `{"type": "insecure"}`

// NewXDS is for a service that the control plane at server serves.
func NewXDS(server, credentials, service string) (*XDS, error) {
	resolver, err := xds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil, `{
	"xds_servers": [{"server_uri": %q, "channel_creds": [%s], "server_features": ["xds_v3"]}],
	"node": {"id": "load"}
}`, server, credentials))
	if err != nil {
		return nil, fmt.Errorf("reading the bootstrap: %w", err)
	}
	conn, err := grpc.NewClient("xds:///"+service, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("making a client of %q: %w", service, err)
	}
	return &XDS{conn}, nil
}

// Close ends the client.
func (x *XDS) Close() { _ = x.conn.Close() }

// Ask makes one call, which the server of e2e/web answers. What gRPC sends anew
// by itself, as when the server has not begun it, is not told.
func (x *XDS) Ask(ctx context.Context) Answer {
	var header metadata.MD
	err := x.conn.Invoke(ctx, "/eru.Web/Ask", &emptypb.Empty{}, &emptypb.Empty{}, grpc.Header(&header))
	answer := Answer{}
	if by := header.Get("Served-By"); len(by) > 0 {
		answer.By = by[0]
	}
	if err != nil {
		answer.Failed = errors.New(status.Code(err).String())
	}
	return answer
}
