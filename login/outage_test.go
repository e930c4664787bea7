package login_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/login"
)

// outage is a network that can be away.
type outage struct {
	net.Dialer
	away atomic.Bool
}

func (o *outage) Dial(network, address string) (net.Conn, error) {
	if o.away.Load() {
		return nil, errors.New("no network")
	}
	return o.Dialer.Dial(network, address)
}

// TestAnOutageIsNoRefusal: a refusal, a network that is away for long, and one more refusal are
// not a login that was refused all that time.
func TestAnOutageIsNoRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t, time.Hour, 2)
	const away = 6 * time.Second
	network := new(outage)
	judged := make(chan time.Duration, 100)
	stays := h.enter("stays", nats.SetCustomDialer(network), login.Persistent(login.Persistence{
		Jitter: 50 * time.Millisecond, Patience: 2 * time.Second,
		Judge: func(_ context.Context, refusedFor time.Duration) error {
			judged <- refusedFor
			return nil
		},
	}))
	h.stop()
	h.cut("stays")
	<-judged
	network.away.Store(true)
	since := time.Now()
	natstest.Eventually(t, "the network was away for long", func() bool { return time.Since(since) > away })
	for len(judged) > 0 { // from before
		<-judged
	}
	network.away.Store(false)
	if refusedFor := <-judged; refusedFor >= away {
		t.Errorf("refused for %s, and nobody was there to refuse it for %s", refusedFor, away)
	}
	h.open()
	natstest.Eventually(t, "it is back", stays.IsConnected)
}
