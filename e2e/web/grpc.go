package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// serveGRPC answers every unary call with an empty message: five bytes of frame, and the status in the trailer.
func (s *server) serveGRPC(number string) error {
	if number == "" {
		return nil
	}
	l, err := net.Listen("tcp", ":"+number)
	if err != nil {
		return fmt.Errorf("listening for gRPC: %w", err)
	}
	s.grpc = &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.gate.wait()
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set(servedBy, s.host)
		_, _ = w.Write(make([]byte, 5))
		w.Header().Set("Grpc-Status", "0")
	})}
	s.grpc.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.grpc.Serve(l) }() // ends with the server
	return nil
}

// finish closes the listeners, takes no further request on any connection, and closes what it returns once what was
// under way has ended.
func (s *server) finish() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, p := range s.ports {
			p.finish()
		}
		if s.grpc != nil {
			_ = s.grpc.Shutdown(context.Background())
		}
		for _, p := range s.ports {
			p.serving.Wait()
		}
	}()
	return done
}
