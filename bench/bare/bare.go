// Package bare is the least that can tell etcd of a death, the yardstick of how
// soon the agent does: it hears an end from the kernel (pidfd) or from Docker's
// stream of events, and puts a key, of a value as long as a status. What has
// come meanwhile goes into one transaction of at most 120 keys, one in flight.
//
// It leaves out all else: fencing, states, reasons, what Docker's answers mean,
// and probing.
package bare

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Label is what the containers have whose die it heeds.
const Label = "bench.bare=1"

const (
	keysAtOnce = 120 // as the agent's
	valueSize  = 600 // about as long as a status
)

// Spec is what the process is told.
type Spec struct {
	Etcd   string
	Prefix string
	Docker string // path of the socket whose events it heeds; "" for none
}

type client struct {
	Spec
	etcd  *clientv3.Client
	ends  chan string // keys
	epoll int

	mu    sync.Mutex
	names map[int32]string // by pidfd
}

// Run writes until its input ends. Each line of that is a key and the number of
// the process whose end it shall tell of; "ok" says that it watches.
func Run(s Spec) error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("creating an epoll: %w", err)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Etcd}, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("connecting to etcd: %w", err)
	}
	c := &client{Spec: s, etcd: etcd, ends: make(chan string, 1<<16), epoll: epoll, names: map[int32]string{}}
	if _, err := etcd.Get(context.Background(), "connected"); err != nil {
		return fmt.Errorf("connecting to etcd: %w", err)
	}
	failed := make(chan error, 4)
	go func() { failed <- c.hearKernel() }()
	go func() { failed <- c.write() }()
	go func() { failed <- c.read() }()
	if s.Docker != "" {
		events, err := subscribe(s.Docker)
		if err != nil {
			return err
		}
		defer func() { _ = events.Close() }()
		go func() { failed <- c.hearDocker(events) }()
	}
	fmt.Println("ok")
	return <-failed
}

// read takes orders.
func (c *client) read() error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		key, number, _ := strings.Cut(lines.Text(), " ")
		pid, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("reading whom to watch: %w", err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return fmt.Errorf("opening process %d: %w", pid, err)
		}
		c.mu.Lock()
		c.names[int32(fd)] = key
		c.mu.Unlock()
		if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return fmt.Errorf("watching process %d: %w", pid, err)
		}
		fmt.Println("ok")
	}
	return nil
}

func (c *client) hearKernel() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(c.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for ends: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			c.mu.Lock()
			c.ends <- c.names[ev.Fd]
			delete(c.names, ev.Fd)
			c.mu.Unlock()
			_ = unix.Close(int(ev.Fd))
		}
	}
}

// subscribe returns once Docker's stream has begun.
func subscribe(socket string) (io.ReadCloser, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	filters := url.QueryEscape(`{"type":{"container":true},"event":{"die":true},"label":{"` + Label + `":true}}`)
	events, err := (&http.Client{Transport: transport}).Get("http://docker/v1.41/events?filters=" + filters)
	if err == nil && events.StatusCode != http.StatusOK {
		err = errors.Join(errors.New(events.Status), events.Body.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("following Docker's events: %w", err)
	}
	return events.Body, nil
}

func (c *client) hearDocker(events io.Reader) error {
	for stream := json.NewDecoder(events); ; {
		var event struct {
			ID string `json:"id"`
		}
		if err := stream.Decode(&event); err != nil {
			return fmt.Errorf("following Docker's events: %w", err)
		}
		c.ends <- event.ID
	}
}

func (c *client) write() error {
	value := strings.Repeat("x", valueSize)
	for {
		ops := []clientv3.Op{clientv3.OpPut(c.Prefix+<-c.ends, value)}
		for len(ops) < keysAtOnce && len(c.ends) > 0 {
			ops = append(ops, clientv3.OpPut(c.Prefix+<-c.ends, value))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, err := c.etcd.Txn(ctx).Then(ops...).Commit()
		cancel()
		if err != nil {
			return fmt.Errorf("writing %d keys: %w", len(ops), err)
		}
	}
}
