package callout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// Close stops hearing requests, answers those already heard and waits for the work to
// end. When ctx ends first, what is left is given up: it is cancelled, and Close waits
// for the Authorizer to return. Further calls do nothing and return the first result.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Do(func() { e.closeErr = e.close(ctx) })
	return e.closeErr
}

func (e *Engine) close(ctx context.Context) error {
	defer e.cancel()
	err := e.endSubscription(ctx)
	over := e.underWay.over()
	select {
	case <-over:
		return err
	case <-ctx.Done():
		e.cancel()
		<-over
		return errors.Join(err, fmt.Errorf("callout: logins were given up: %w", ctx.Err()))
	}
}

// endSubscription hears no more, and waits until what was heard is under way. Without
// a server there is nobody to answer, and nothing to wait for.
func (e *Engine) endSubscription(ctx context.Context) error {
	drained := make(chan struct{})
	e.sub.SetClosedHandler(func(string) { close(drained) })
	lost := e.conn.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer e.conn.RemoveStatusListener(lost)
	if !e.conn.IsConnected() {
		return e.dropSubscription()
	}
	if err := e.sub.Drain(); err != nil {
		return e.dropSubscription()
	}
	select {
	case <-drained:
		return nil
	case <-lost:
		return e.dropSubscription()
	case <-ctx.Done():
		return fmt.Errorf("callout: requests were left: %w", ctx.Err())
	}
}

func (e *Engine) dropSubscription() error {
	err := e.sub.Unsubscribe()
	if err == nil || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil // gone, or gone with its connection
	}
	return fmt.Errorf("callout: end the subscription: %w", err)
}

// underWay counts the logins that were heard and not yet answered. After over it takes no
// more.
type underWay struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // closed when the last has ended; nil as long as more may come
}

func (u *underWay) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.none != nil {
		return false
	}
	u.count++
	return true
}

func (u *underWay) number() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

func (u *underWay) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count--
	if u.count == 0 && u.none != nil {
		close(u.none)
	}
}

// over takes no more, and tells when the last has ended.
func (u *underWay) over() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.none = make(chan struct{})
	if u.count == 0 {
		close(u.none)
	}
	return u.none
}
