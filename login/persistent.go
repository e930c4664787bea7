package login

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrRefused is the error of a connection that ended because its logins were refused for
// good.
var ErrRefused = errors.New("the login is refused")

const (
	// DefaultPatience is how long logins may be refused, without a break, before that is
	// taken for an answer. A callout that restarts is back before.
	DefaultPatience = time.Minute

	loginTime     = 70 * time.Second // for a login: longer than a server waits
	socketTime    = 5 * time.Second  // for a socket
	reconnectWait = 500 * time.Millisecond
	jitter        = 2 * time.Second

	refusalsJudged = 2 // in a row, before anybody asks whether they are meant
	judgeTime      = 10 * time.Second
)

// Persistence says when a connection stops trying to log in. Its zero value is a good one.
type Persistence struct {
	// Judge is asked from the second refusal in a row on whether it is meant: an error says
	// why. refusedFor is the time since the first of them, without that in which no server was
	// there. nil: after Patience.
	Judge    func(ctx context.Context, refusedFor time.Duration) error
	Patience time.Duration // DefaultPatience if 0; without Judge

	// Ended, if set, is told once why a connection was ended: what Judge said, or ErrRefused.
	Ended func(error)

	// Jitter is how far apart the logins of several programs are spread after an outage: two
	// seconds if 0. A second for each 700 of them is well measured.
	Jitter time.Duration
}

// Persistent has a connection try to log in again for as long as it may be worth it, with
// jitter, and end when a refusal is meant. It stands behind the other options, whose
// handlers it keeps.
func Persistent(p Persistence) nats.Option {
	return func(o *nats.Options) error {
		s := &standing{p: p}
		if p.Judge == nil {
			s.p.Judge = s.judge
		}
		o.MaxReconnect, o.AllowReconnect, o.IgnoreAuthErrorAbort = -1, true, true
		o.ReconnectWait, o.ReconnectJitter, o.ReconnectJitterTLS = reconnectWait, jitter, jitter
		if p.Jitter > 0 {
			o.ReconnectJitter, o.ReconnectJitterTLS = p.Jitter, p.Jitter
		}
		if o.Timeout == nats.DefaultTimeout {
			o.Timeout = loginTime
		}
		if o.CustomDialer == nil {
			o.CustomDialer = &tidyDialer{dialer: o.Dialer}
		}
		told, back := o.AsyncErrorCB, o.ReconnectedCB
		o.AsyncErrorCB = func(nc *nats.Conn, sub *nats.Subscription, err error) {
			s.told(nc, err)
			if told != nil {
				told(nc, sub, err)
			}
		}
		o.ReconnectedCB = func(nc *nats.Conn) {
			s.back()
			if back != nil {
				back(nc)
			}
		}
		return nil
	}
}

// IsRefusal reports whether an error is that of a refused login: of one that was wrong, had
// expired, was revoked, or that nobody decided.
func IsRefusal(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// standing is how the logins of a connection are taken.
type standing struct {
	p Persistence

	mu         sync.Mutex
	refusals   int // since the last login
	last       time.Time
	refusedFor time.Duration // from the first of them to the last
	ended      bool
}

// judge takes a refusal for an answer when it lasts.
func (s *standing) judge(_ context.Context, refusedFor time.Duration) error {
	if refusedFor < s.patience() {
		return nil
	}
	return fmt.Errorf("%w for %s", ErrRefused, s.patience())
}

func (s *standing) patience() time.Duration {
	if s.p.Patience == 0 {
		return DefaultPatience
	}
	return s.p.Patience
}

// back forgets the refusals: a login was taken.
func (s *standing) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = 0
}

// told takes an error of the connection. nats.go tells one at a time.
func (s *standing) told(nc *nats.Conn, err error) {
	refusedFor, due := s.count(err)
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), judgeTime)
	defer cancel()
	reason := s.p.Judge(ctx, refusedFor)
	if reason == nil {
		return
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if s.p.Ended != nil {
		s.p.Ended(reason)
	}
	nc.Close()
}

// count counts a refusal, and says whether to judge. A revocation is told once, on the
// living connection, and is no mistake: it has lasted as long as it needs. The time between
// two counts up to half of the patience: in a longer one nobody was there to refuse anything.
func (s *standing) count(err error) (refusedFor time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !IsRefusal(err) || s.ended {
		return 0, false
	}
	now := time.Now()
	if s.refusals == 0 {
		s.refusedFor = 0
	} else {
		s.refusedFor += min(now.Sub(s.last), s.patience()/2)
	}
	s.last = now
	s.refusals++
	if errors.Is(err, nats.ErrAuthRevoked) {
		return max(DefaultPatience, s.p.Patience), true
	}
	return s.refusedFor, s.refusals >= refusalsJudged
}

// tidyDialer closes the socket of the attempt before: a reconnect whose handshake failed
// leaves it open, and a server that restarts would drown in them.
type tidyDialer struct {
	dialer *net.Dialer // nil: the usual

	mu       sync.Mutex
	previous net.Conn
}

// Dial implements nats.CustomDialer.
func (d *tidyDialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	if d.previous != nil {
		_ = d.previous.Close()
		d.previous = nil
	}
	d.mu.Unlock()
	dialer := net.Dialer{}
	if d.dialer != nil {
		dialer = *d.dialer
	}
	dialer.Timeout = socketTime
	conn, err := dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.previous = conn
	d.mu.Unlock()
	return conn, nil
}
