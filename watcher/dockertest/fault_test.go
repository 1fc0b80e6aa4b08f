package dockertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestSince(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	c := s.Run(dockertest.Spec{})
	messages, errs := cli.Events(ctx, events.ListOptions{Since: sinceOf(time.Now().Add(-time.Hour))})
	var last events.Message
	for range 3 {
		last = <-messages
	}
	s.CutStreams()
	if err := <-errs; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("cut stream: %v", err)
	}
	s.Pause(c.ID)

	messages, errs = cli.Events(ctx, events.ListOptions{Since: sinceOf(time.Unix(0, last.TimeNano))})
	if got := read(t, ctx, messages, errs, 2); !slices.Equal(got, []string{"start", "pause"}) {
		t.Errorf("since the last event, inclusive: %v", got)
	}
	s.EndStreams()
	if err := <-errs; !errors.Is(err, io.EOF) {
		t.Errorf("ended stream: %v", err)
	}
	for i := range 400 {
		s.Rename(c.ID, fmt.Sprint("name-", i))
	}
	messages, errs = cli.Events(ctx, events.ListOptions{Since: "0"})
	if got := read(t, ctx, messages, errs, 256); slices.Index(got, "pause") >= 0 {
		t.Error("more than 256 events replayed")
	}
}

func TestEventFilter(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	messages, errs := cli.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", "container"), filters.Arg("event", "start"), filters.Arg("event", "die"), filters.Arg("label", "ERU=1"))})
	await(t, s.AwaitStreams(ctx, 1))
	s.Run(dockertest.Spec{})
	s.Stop(s.Run(dockertest.Spec{Labels: map[string]string{"ERU": "1"}}).ID)
	if got := read(t, ctx, messages, errs, 2); !slices.Equal(got, []string{"start", "die"}) {
		t.Errorf("%v", got)
	}
}

func TestAnswersBeforeSubscribing(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	s.Hang(dockertest.Subscribing)
	messages, errs := cli.Events(ctx, events.ListOptions{})
	c := s.Run(dockertest.Spec{})
	s.Unhang(dockertest.Subscribing)
	await(t, s.AwaitStreams(ctx, 1))
	s.Pause(c.ID)
	if got := read(t, ctx, messages, errs, 1); got[0] != "pause" {
		t.Errorf("first event is %q", got)
	}
}

func TestEventFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		inject func(*dockertest.Server)
		want   []string
	}{
		{"none", func(*dockertest.Server) {}, []string{"create", "connect", "start", "pause"}},
		{"drop", func(s *dockertest.Server) { s.DropEvents(dockertest.Next(2)) }, []string{"start", "pause"}},
		{"drop matching", func(s *dockertest.Server) { s.DropEvents(dockertest.Actions("connect", "start")) }, []string{"create", "pause"}},
		{"duplicate", func(s *dockertest.Server) { s.DuplicateEvents(dockertest.Actions("start")) }, []string{"create", "connect", "start", "start", "pause"}},
		{"swap", func(s *dockertest.Server) { s.ReorderEvents(dockertest.Next(1), nil) }, []string{"connect", "create", "start", "pause"}},
		{"reorder", func(s *dockertest.Server) { s.ReorderEvents(dockertest.Actions("create"), dockertest.Actions("start")) }, []string{"connect", "start", "create", "pause"}},
		{"flush", func(s *dockertest.Server) { s.ReorderEvents(dockertest.Actions("pause"), nil)() }, []string{"create", "connect", "start", "pause"}},
	} {
		s := dockertest.New(t, dockertest.Config{})
		cli, ctx := connect(t, s), deadline(t)
		messages, errs := cli.Events(ctx, events.ListOptions{})
		await(t, s.AwaitStreams(ctx, 1))
		test.inject(s)
		s.Pause(s.Run(dockertest.Spec{}).ID)
		if got := read(t, ctx, messages, errs, len(test.want)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestHangAndFail(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	cli, ctx := connect(t, s), deadline(t)
	c := s.Run(dockertest.Spec{})
	s.Hang(dockertest.Inspect)
	impatient, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		_, err := cli.ContainerInspect(impatient, c.ID)
		failed <- err
	}()
	await(t, s.AwaitRequests(ctx, dockertest.Inspect, 1))
	if _, err := cli.ContainerList(ctx, dockercontainer.ListOptions{}); err != nil {
		t.Errorf("list while inspect hangs: %v", err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("hanging inspect: %v", err)
	}
	s.Unhang(dockertest.Inspect)
	s.Slow(dockertest.Inspect, time.Millisecond)
	if _, err := cli.ContainerInspect(ctx, c.ID); err != nil {
		t.Errorf("inspect after the hang: %v", err)
	}
	s.Fail(dockertest.Everything, 500)
	if _, err := cli.ContainerInspect(ctx, c.ID); err == nil {
		t.Error("no error of an injected failure")
	}
	s.Fail(dockertest.Everything, 0)
	if got := s.Requests("/containers/" + c.ID + "/json"); got != 3 {
		t.Errorf("%d inspects counted, want 3", got)
	}
}

func TestStalledStream(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{SlowReader: time.Millisecond})
	cli, ctx := connect(t, s), deadline(t)
	messages, errs := cli.Events(ctx, events.ListOptions{})
	await(t, s.AwaitStreams(ctx, 1))
	s.Hang(dockertest.Events)
	c := s.Run(dockertest.Spec{})
	for i := range 1100 {
		s.Rename(c.ID, fmt.Sprint("name-", i))
	}
	if got := s.Lost(); got < 50 || got > 90 {
		t.Errorf("%d events lost, want what is over 1,024 slots", got)
	}
	s.Unhang(dockertest.Events)
	read(t, ctx, messages, errs, 1103-s.Lost())
}

func TestOutages(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		s := dockertest.New(t, dockertest.Config{TCP: tcp})
		cli, ctx := connect(t, s), deadline(t)
		c := s.Run(dockertest.Spec{})
		_, errs := cli.Events(ctx, events.ListOptions{})
		s.CutOff()
		if err := <-errs; err == nil {
			t.Error("no error of a stream that was cut off")
		}
		if _, err := cli.Ping(ctx); err == nil {
			t.Error("a ping was answered while cut off")
		}
		s.Pause(c.ID)
		s.Up()
		messages, errs := cli.Events(ctx, events.ListOptions{Since: "0"})
		read(t, ctx, messages, errs, 4)

		s.Down()
		s.Die(c.ID, 1)
		s.Up()
		if list, err := cli.ContainerList(ctx, dockercontainer.ListOptions{All: true}); err != nil || list[0].State != "exited" {
			t.Errorf("after live-restore: %+v, %v", list, err)
		}
		messages, errs = cli.Events(ctx, events.ListOptions{Since: "0"})
		await(t, s.AwaitStreams(ctx, 1))
		s.Start(c.ID)
		if got := read(t, ctx, messages, errs, 2); !slices.Equal(got, []string{"connect", "start"}) {
			t.Errorf("events after the daemon came back: %v", got)
		}
	}
}

// TestStorm has 1,000 containers, ten at a time going through five lives each, under a client that reads and lists.
func TestStorm(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{SlowReader: time.Minute})
	cli, ctx := connect(t, s), deadline(t)
	messages, errs := cli.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("event", "die"))})
	await(t, s.AwaitStreams(ctx, 1))
	var work sync.WaitGroup
	for range 10 {
		work.Go(func() {
			for range 100 {
				c := s.Run(dockertest.Spec{Labels: map[string]string{"ERU": "1"}})
				for range 4 {
					s.Restart(c.ID)
				}
				s.Die(c.ID, 1)
			}
		})
	}
	read(t, ctx, messages, errs, 5000)
	work.Wait()
	list, err := cli.ContainerList(ctx, dockercontainer.ListOptions{All: true})
	if err != nil || len(list) != 1000 {
		t.Errorf("%d containers, %v", len(list), err)
	}
	if got := s.Lost(); got != 0 {
		t.Errorf("%d events lost", got)
	}
}

func await(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
