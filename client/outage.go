package client

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// errOutage is why something was given up that was asked on a connection which is gone.
var errOutage = errors.New("the connection was lost")

// askTries is how often something is asked when its connection is lost meanwhile.
const askTries = 4

// outages tells those who wait for an answer that the connection is lost on which they
// asked: nobody will answer there any more. What they ask then goes out when the next one
// is made.
type outages struct {
	mu     sync.Mutex
	next   context.Context //nolint:containedctx // ends at the next outage
	happen context.CancelFunc
}

func newOutages() *outages {
	o := new(outages)
	o.next, o.happen = context.WithCancel(context.Background())
	return o
}

// option has a connection report its outages.
func (o *outages) option() nats.Option {
	return nats.DisconnectErrHandler(func(*nats.Conn, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.happen()
		o.next, o.happen = context.WithCancel(context.Background())
	})
}

// before is ctx until the next outage, which is its cause then.
func (o *outages) before(ctx context.Context) (context.Context, context.CancelFunc) {
	o.mu.Lock()
	next := o.next
	o.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(next, func() { cancel(errOutage) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// ask asks, and once more for each time that the connection is lost before there is an
// answer. What is asked must be such that it does no harm twice.
func (o *outages) ask(ctx context.Context, ask func(context.Context) error) (err error) {
	for range askTries {
		until, cancel := o.before(ctx)
		err = ask(until)
		lost := errors.Is(context.Cause(until), errOutage)
		cancel()
		if err == nil || !lost || ctx.Err() != nil {
			return err
		}
	}
	return err
}
