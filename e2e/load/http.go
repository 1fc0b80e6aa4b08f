package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"syscall"
)

// HTTP asks a proxy for a URL, over connections that it keeps. Anything but a
// whole answer with status 200 has failed. Close lets its connections go.
type HTTP struct {
	target string
	client *http.Client
}

// NewHTTP is for the server of e2e/web behind a proxy.
func NewHTTP(target string) *HTTP {
	return &HTTP{target: target, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// Close closes what is idle.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Ask makes one request. Go's client sends one anew by itself when a connection
// that was idle turns out to be closed, as HTTP tells clients to.
func (h *HTTP) Ask(ctx context.Context) Answer {
	connections := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }})
	by, err := h.get(ctx)
	return Answer{By: by, Again: max(connections-1, 0), Failed: err}
}

func (h *HTTP) get(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.target, nil)
	if err != nil {
		return "", err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return "", cause(err)
	}
	defer func() { _ = resp.Body.Close() }()
	by := resp.Header.Get("Served-By")
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return by, cause(err)
	}
	if resp.StatusCode != http.StatusOK {
		return by, fmt.Errorf("status %d", resp.StatusCode)
	}
	return by, nil
}

// cause leaves ports away, so that those that failed alike can be counted.
func cause(err error) error {
	var number syscall.Errno
	var named *url.Error
	switch {
	case errors.As(err, &number):
		return number
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &named):
		return named.Err
	}
	return err
}
