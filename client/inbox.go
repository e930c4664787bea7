package client

import (
	"context"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

const inboxesKept = 64

// inbox receives the replies to one read at a time.
type inbox struct {
	subject string
	sub     *nats.Subscription
	reads   uint64
}

// inboxes are kept for the next read: a subscription for each file would cost more than
// a small file itself.
type inboxes struct {
	nc *nats.Conn

	mu   sync.Mutex
	free []*inbox
}

func (i *inboxes) take() (*inbox, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if last := len(i.free) - 1; last >= 0 {
		in := i.free[last]
		i.free = i.free[:last]
		return in, nil
	}
	subject := i.nc.NewInbox()
	sub, err := i.nc.SubscribeSync(subject + ".*")
	if err != nil {
		return nil, err
	}
	return &inbox{subject: subject, sub: sub}, nil
}

func (i *inboxes) give(in *inbox) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.free) < inboxesKept {
		i.free = append(i.free, in)
		return
	}
	_ = in.sub.Unsubscribe() // it ends with the connection in any case
}

// next is the reply subject of the next read.
func (in *inbox) next() string {
	in.reads++
	return in.subject + "." + strconv.FormatUint(in.reads, 10)
}

// receive waits for the next message of one read; late ones of an earlier are dropped.
func (in *inbox) receive(ctx context.Context, reply string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	for {
		msg, err := in.sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		if msg.Subject != reply {
			continue
		}
		if msg.Header.Get("Status") == "503" {
			return nil, nats.ErrNoResponders
		}
		return msg, nil
	}
}
