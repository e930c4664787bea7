package login

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

// RenewIn is a time after which to renew a login that lasts for life: between a half and two
// thirds of it, by chance, so that those who came together do not come again together.
func RenewIn(life time.Duration) time.Duration { return life/2 + rand.N(max(life/6, 1)) }

// Renew logs a connection in anew, again and again, before each login has lasted for life,
// until ctx ends or the connection is closed. What was published is sent first; the
// subscriptions stay. For the few milliseconds between the two sockets, what others publish
// is missed, unless it comes by JetStream: a program that may miss nothing makes a second
// connection instead, as sessions of package client do, and asks RenewIn when.
func Renew(ctx context.Context, nc *nats.Conn, life time.Duration) {
	closed := nc.StatusChanged(nats.CLOSED)
	defer nc.RemoveStatusListener(closed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-closed:
			return
		case <-time.After(RenewIn(life)):
		}
		if !nc.IsConnected() { // it logs in by itself
			continue
		}
		if err := nc.FlushTimeout(socketTime); err == nil {
			_ = nc.ForceReconnect() // one that is closed is seen above
		}
	}
}
