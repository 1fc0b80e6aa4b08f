package monitor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Those who ask while an answer is under way share the next one, which was begun
// after they asked.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var work sync.WaitGroup
		defer work.Wait()
		var runs []string
		p := pool[string]{begin: work.Go, run: func(_ context.Context, names []string) (string, error) {
			<-time.After(time.Second)
			slices.Sort(names)
			runs = append(runs, strings.Join(names, "+"))
			return runs[len(runs)-1], nil
		}}
		join := func(name, want string) {
			work.Go(func() {
				if got, err := p.join(t.Context(), name); got != want || err != nil {
					t.Errorf("%s got %q, %v", name, got, err)
				}
			})
			synctest.Wait()
		}
		join("a", "a")
		join("b", "b+c")
		join("c", "b+c")
		<-time.After(1500 * time.Millisecond)
		join("d", "d")
		<-time.After(5 * time.Second)
		join("e", "e")
		work.Wait()
		if got := strings.Join(runs, " "); got != "a b+c d e" {
			t.Errorf("it ran for %s", got)
		}
	})
}

func TestPoolFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var work sync.WaitGroup
		defer work.Wait()
		failed := errors.New("failed")
		p := pool[int]{begin: work.Go, run: func(ctx context.Context, _ []string) (int, error) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return 0, failed
		}}
		if _, err := p.join(t.Context(), "a"); !errors.Is(err, failed) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.join(ctx, "b"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
