package callout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// queue is a line in a bubble with its own time, and how its logins ended.
type queue struct {
	*line
	mu      sync.Mutex
	decided []time.Duration // from coming to having been decided
	shed    []time.Duration // from coming to being refused
	hung    []time.Duration // from coming to having been given up
	late    int             // decided or refused after their deadlines
	running int
	most    int // at a time
}

func newQueue(places int, service func(l *login) time.Duration) *queue {
	q := &queue{}
	q.line = newLine(places, func(l *login) bool {
		q.mu.Lock()
		q.running++
		q.most = max(q.most, q.running)
		q.mu.Unlock()
		ctx, cancel := context.WithDeadline(context.Background(), l.answerBy())
		defer cancel()
		select {
		case <-time.After(service(l)):
		case <-ctx.Done():
		}
		q.mu.Lock()
		q.running--
		q.mu.Unlock()
		if ctx.Err() != nil {
			q.end(&q.hung, l)
			return false
		}
		q.end(&q.decided, l)
		return true
	}, func(l *login, why error) {
		if !errors.Is(why, errShed) {
			panic(why)
		}
		q.end(&q.shed, l)
	})
	return q
}

func (q *queue) end(list *[]time.Duration, l *login) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*list = append(*list, time.Since(l.heard))
	if time.Now().After(l.request.Expires) {
		q.late++
	}
}

// come lets a login into the line that has so much time.
func (q *queue) come(patience time.Duration) {
	now := time.Now()
	go q.enter(&login{heard: now, request: &Request{Expires: now.Add(patience)}})
}

// settle waits until nothing moves, and keeps it so until release.
func (q *queue) settle() {
	synctest.Wait()
	q.line.mu.Lock()
	q.mu.Lock()
}

func (q *queue) release() {
	q.mu.Unlock()
	q.line.mu.Unlock()
}

func always(d time.Duration) func(*login) time.Duration {
	return func(*login) time.Duration { return d }
}

// TestAStormIsNotShed: 10,000 logins at once that take 50 of their 60 seconds; also behind
// a backend that does nothing at all in the beginning.
func TestAStormIsNotShed(t *testing.T) {
	for name, stall := range map[string]time.Duration{"at work": 0, "slow in the beginning": 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			q := newQueue(8, func(*login) time.Duration { return max(40*time.Millisecond, stall-time.Since(began)) })
			for range 10 {
				for range 1000 {
					q.come(60 * time.Second)
				}
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			q.settle()
			defer q.release()
			if len(q.shed) != 0 || q.late != 0 || len(q.decided) != 10_000 || q.most != 8 {
				t.Errorf("%s: %d shed, %d late, %d decided, %d at a time", name, len(q.shed), q.late, len(q.decided), q.most)
			}
		})
	}
}

// TestOverloadIsShedEarly: five times as many as a backend can decide.
func TestOverloadIsShedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4, always(20*time.Millisecond)) // 200 a second
		const seconds = 20
		for range seconds * 1000 {
			q.come(2 * time.Second)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		q.settle()
		defer q.release()
		if len(q.decided)+len(q.shed)+len(q.hung) != seconds*1000 || q.late != 0 || len(q.hung) > seconds*10 {
			t.Errorf("%d decided and %d shed, %d in vain, %d late", len(q.decided), len(q.shed), len(q.hung), q.late)
		}
		if len(q.decided) < seconds*190 {
			t.Errorf("%d decided of %d that could be", len(q.decided), seconds*200)
		}
		slices.Sort(q.shed)
		if median, most := q.shed[len(q.shed)/2], q.shed[len(q.shed)*99/100]; median > 0 || most > 2*time.Second {
			t.Errorf("shed after %s, at most %s: want at once", median, most)
		}
		slices.Sort(q.decided)
		if last := q.decided[len(q.decided)-1]; last >= 2*time.Second {
			t.Errorf("decided after %s", last)
		}
	})
}

// TestNobodyWaitsInSilenceForABackendThatHangs.
func TestNobodyWaitsInSilenceForABackendThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var works atomic.Bool
		q := newQueue(4, func(*login) time.Duration {
			if works.Load() {
				return time.Millisecond
			}
			return time.Hour
		})
		for range 1000 {
			q.come(2 * time.Second)
			time.Sleep(10 * time.Millisecond)
		}
		works.Store(true)
		time.Sleep(3 * time.Second)
		q.settle()
		if len(q.hung)+len(q.shed) != 1000 || q.late != 0 || len(q.hung) > 4*6+leastPace {
			t.Errorf("%d hung and %d shed, %d late", len(q.hung), len(q.shed), q.late)
		}
		slices.Sort(q.shed)
		if median := q.shed[len(q.shed)/2]; median > 0 {
			t.Errorf("shed after %s: want at once", median)
		}
		shed := len(q.shed)
		q.release()
		q.come(2 * time.Second) // it is back, and one is enough to see that
		time.Sleep(10 * time.Millisecond)
		for range 5 {
			for range 20 {
				q.come(2 * time.Second)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		q.settle()
		defer q.release()
		if len(q.shed) != shed {
			t.Errorf("%d shed by a backend that is back", len(q.shed)-shed)
		}
	})
}

// TestABackendThatNeverReturnsIsNotWaitedFor, though its places are lost until it does.
func TestABackendThatNeverReturnsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, back := newQueue(4, nil), make(chan struct{})
		q.line.decide = func(l *login) bool {
			<-back
			q.end(&q.hung, l)
			return time.Now().Before(l.answerBy())
		}
		for range 1000 {
			q.come(2 * time.Second)
			time.Sleep(10 * time.Millisecond)
		}
		q.settle()
		slices.Sort(q.shed)
		if median := q.shed[len(q.shed)/2]; median > 0 || len(q.shed) != 996 || q.late != 0 {
			t.Errorf("%d shed after %s, %d late", len(q.shed), median, q.late)
		}
		shed := len(q.shed)
		q.release()
		close(back)
		synctest.Wait()
		for range 100 {
			q.come(2 * time.Second)
			synctest.Wait()
		}
		q.settle()
		defer q.release()
		if len(q.shed) != shed || len(q.hung) != 104 {
			t.Errorf("%d shed by a backend that is back", len(q.shed)-shed)
		}
	})
}

// TestWhoseTimeEndsInTheLineIsToldSo: nobody knows yet how fast it moves.
func TestWhoseTimeEndsInTheLineIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, always(30*time.Second))
		q.come(time.Minute)
		synctest.Wait()
		for patience := 5 * time.Second; patience > 0; patience -= time.Second { // the most patient first
			q.come(patience)
			synctest.Wait()
		}
		time.Sleep(29 * time.Second)
		q.settle()
		if len(q.shed) != 5 || q.late != 0 || len(q.decided) != 0 || q.busy != 1 {
			t.Errorf("%d shed, %d late, %d decided, %d at work", len(q.shed), q.late, len(q.decided), q.busy)
		}
		q.release()
		time.Sleep(time.Minute)
	})
}

func TestNotMoreWaitThanMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, always(time.Hour))
		q.line.most = 100
		for range 110 {
			q.come(time.Minute)
		}
		q.settle()
		if len(q.waiting) != 100 || len(q.shed) != 9 {
			t.Errorf("%d wait and %d are shed", len(q.waiting), len(q.shed))
		}
		q.release()
		time.Sleep(2 * time.Minute)
		q.settle()
		defer q.release()
		if len(q.waiting) != 0 || q.busy != 0 || q.late != 0 {
			t.Errorf("%d wait still, %d places are taken, %d were late", len(q.waiting), q.busy, q.late)
		}
	})
}

type boundedBackend struct {
	Backend
	places int
}

func (b boundedBackend) Places() int { return b.places }

func TestPlacesAreDividedSoThatNobodyHasAnothers(t *testing.T) {
	plain := Only("plain", nil)
	bounded := func(places int) Backend { return boundedBackend{plain, places} }
	for name, c := range map[string]struct {
		backends []Backend
		inFlight int
		want     []int
	}{
		"one alone":              {[]Backend{plain}, 256, []int{256}},
		"alike":                  {[]Backend{plain, plain, plain, plain}, 256, []int{64, 64, 64, 64}},
		"one that knows":         {[]Backend{bounded(2), plain, plain}, 256, []int{2, 127, 127}},
		"one that wants all":     {[]Backend{bounded(1000), plain}, 256, []int{128, 128}},
		"one that knows nothing": {[]Backend{bounded(0), plain}, 256, []int{128, 128}},
		"fewer than there are":   {[]Backend{plain, bounded(3), plain}, 2, []int{1, 1, 1}},
	} {
		if got := placesOf(c.backends, c.inFlight); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
