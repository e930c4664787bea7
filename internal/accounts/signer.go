package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

const pushRetry = time.Second

// Signer composes, signs and pushes account JWTs.
type Signer struct {
	OperatorJWT string
	Key         *trust.KeyPair // operator signing key
	HubAccount  string         // public key of account HUB
	Rooms       string         // public key of account ROOMS, whose connections are watched; "": none are
	Log         *slog.Logger

	servers *servers

	mu     sync.Mutex
	world  *chain.World
	seq    uint64               // newest stream sequence in world
	dirty  map[string]bool      // accounts whose JWT may differ from the servers'
	issued map[string]time.Time // when an account's last JWT was issued
	moved  chan struct{}        // closed and replaced when seq, dirty or issued changes
}

// Run serves until ctx ends. hub is a connection in account HUB, sys one in SYS.
func (s *Signer) Run(ctx context.Context, hub, sys *nats.Conn, ready func()) error {
	identity, err := trust.ParseHub(s.OperatorJWT)
	if err != nil {
		return err
	}
	s.world = chain.NewWorld(identity)
	s.dirty, s.issued = make(map[string]bool), make(map[string]time.Time)
	s.moved = make(chan struct{})
	s.servers = &servers{sys: sys}
	if err := s.servers.census(ctx); err != nil {
		return err
	}
	wait, err := s.serve(ctx, hub)
	if err != nil {
		return err
	}
	defer wait()
	if err := s.watchConnections(ctx, hub); err != nil {
		return err
	}
	ready()
	l, err := ledger.Attach(ctx, hub)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.Follow(ctx, s.fold) })
	group.Go(func() error { s.publish(ctx); return nil })
	group.Go(func() error { s.servers.watch(ctx); return nil })
	return group.Wait()
}

func (s *Signer) serve(ctx context.Context, hub *nats.Conn) (func(), error) {
	return api.Serve(ctx, hub, api.Service{
		Name: "signer", Description: "composes, signs and pushes account JWTs", Prefix: "signer",
		Reply: api.AnyInbox,
		Verbs: map[string]api.Handler{"await": s.await, "prove": s.prove, "kick": s.kick, "connections": s.connections},
	}, s.Log)
}

// fold verifies an event and notes whose JWT it changes. An event that does not hold
// changes nothing, whoever appended it.
func (s *Signer) fold(entry ledger.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := entry.Err; err != nil {
		s.Log.Error("no event of the ledger", "seq", entry.Seq, "reason", err)
	} else if err := s.world.Apply(entry.Event); err != nil {
		s.Log.Error("event of the ledger does not hold", "seq", entry.Seq, "reason", err)
	} else {
		for _, account := range chain.Touched(entry.Event) {
			s.dirty[account] = true
		}
	}
	s.seq = entry.Seq
	s.signal()
	return nil
}

// signal wakes who waits for a change; s.mu is held.
func (s *Signer) signal() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// publish pushes the JWTs of dirty accounts until ctx ends.
func (s *Signer) publish(ctx context.Context) {
	for ctx.Err() == nil {
		account, claims, wait, moved := s.next(time.Now())
		if claims == nil {
			var timer <-chan time.Time
			if wait > 0 {
				timer = time.After(wait)
			}
			select {
			case <-ctx.Done():
			case <-moved:
			case <-timer:
			}
			continue
		}
		if err := s.pushAccount(ctx, account, claims); err != nil && ctx.Err() == nil {
			s.Log.Error("account could not be pushed; trying again", "account", account, "error", err)
			s.again(account)
			select {
			case <-ctx.Done():
			case <-time.After(pushRetry):
			}
		}
	}
}

// next takes a dirty account that may be issued now. Two JWTs of one account in one
// second would have one id, and servers ignore the second: an account issued in this
// second waits for the next. With none to take it says how long to wait (0: for a change).
func (s *Signer) next(now time.Time) (string, *jwt.AccountClaims, time.Duration, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var wait time.Duration
	for account := range s.dirty {
		if s.world.People[account] == nil {
			delete(s.dirty, account)
			continue
		}
		if due := s.issued[account].Truncate(time.Second).Add(time.Second); due.After(now) {
			if left := due.Sub(now); wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		delete(s.dirty, account)
		s.issued[account] = time.Time{} // being issued
		return account, compose(s.world, s.HubAccount, account), 0, s.moved
	}
	return "", nil, wait, s.moved
}

func (s *Signer) again(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[account] = true
}

// pushAccount signs and pushes, unless the servers have the same already.
func (s *Signer) pushAccount(ctx context.Context, account string, claims *jwt.AccountClaims) error {
	known, err := s.servers.lookup(ctx, account)
	if err != nil {
		return err
	}
	issued := time.Now()
	if !sameAccount(known, claims) {
		token, err := claims.Encode(s.Key.NKey())
		if err != nil {
			return fmt.Errorf("sign account: %w", err)
		}
		issued = time.Unix(claims.IssuedAt, 0)
		if err := s.servers.push(ctx, token); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[account] = issued
	s.signal()
	return nil
}

// sameAccount reports whether a JWT says what claims say, whenever it was issued.
func sameAccount(token string, claims *jwt.AccountClaims) bool {
	known, err := jwt.DecodeAccountClaims(token)
	if err != nil {
		return false
	}
	a, b := known.Account, claims.Account
	a.Type, a.Version, b.Type, b.Version = "", 0, "", 0 // encoding sets them
	return known.Name == claims.Name && equalJSON(a, b)
}

// await answers once the account's JWT reflects the ledger up to a sequence.
func (s *Signer) await(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.AwaitRequest](data)
	if err != nil {
		return nil, err
	}
	for {
		live, known, moved := s.live(request)
		if live {
			return api.Done{}, nil
		}
		select {
		case <-ctx.Done():
			if !known {
				return nil, fault.New(fault.Refused, "the hub's signer does not accept that account")
			}
			return nil, fault.New(fault.Unavailable, "the account is not live on every server yet; try again in a moment")
		case <-moved:
		}
	}
}

func (s *Signer) live(request *api.AwaitRequest) (live, known bool, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issued, pushed := s.issued[request.Account]
	live = s.seq >= request.Seq && !s.dirty[request.Account] && pushed && !issued.IsZero()
	return live, s.seq < request.Seq || s.world.People[request.Account] != nil, s.moved
}

// prove signs a joiner's challenge for the hub.
func (s *Signer) prove(_ context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.ProveRequest](data)
	if err != nil {
		return nil, err
	}
	if len(request.Challenge) != 32 || len(request.Document) != 32 {
		return nil, fault.New(fault.Malformed, "a challenge and a hash have 32 bytes each")
	}
	proof := trust.ProveHub(s.Key, [32]byte(request.Challenge), [32]byte(request.Document))
	return api.ProveAnswer{Hub: s.OperatorJWT, Proof: proof[:]}, nil
}

func (s *Signer) kick(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.KickRequest](data)
	if err != nil {
		return nil, err
	}
	if request.Server == "" || len(request.Server) > 64 || request.Client == 0 {
		return nil, fault.New(fault.Malformed, "a connection is named by its server and its number")
	}
	if err := s.servers.kick(ctx, request.Server, request.Client); err != nil {
		return nil, errors.Join(fault.New(fault.Unavailable, "the connection could not be closed"), err)
	}
	return api.Done{}, nil
}
