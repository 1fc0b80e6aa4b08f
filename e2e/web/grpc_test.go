package main

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

func TestGRPC(t *testing.T) {
	s := newServer(config{host: "here"}, &journal{out: io.Discard})
	t.Cleanup(s.close)
	number := rig.FreePort(t)
	if err := s.serveGRPC(number); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", number), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		var header metadata.MD
		err := conn.Invoke(ctx, "/any.Service/Method", &emptypb.Empty{}, &emptypb.Empty{}, grpc.Header(&header))
		if by := header.Get(servedBy); err != nil || len(by) != 1 || by[0] != "here" {
			t.Fatalf("served by %q: %v", by, err)
		}
	}
	select {
	case <-s.finish():
	case <-ctx.Done():
		t.Error(errors.New("a connection without a call keeps it from ending"))
	}
}
