package registry_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people is a backend: the user field says who it is, and what it is given is what rules say.
type people struct {
	account string
	signer  nkeys.KeyPair
	rules   map[string][]string // subjects that a name may use
	// judging, if set, is called with each login before it is judged.
	judging func(name string)
}

func (p *people) Name() string                { return "people" }
func (p *people) Takes(*callout.Request) bool { return true }

func (p *people) Authorize(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	grant, err := p.Explain(ctx, callout.Query{User: request.User})
	if p.judging != nil {
		p.judging(request.User)
	}
	return grant, err
}

func (p *people) Explain(_ context.Context, query callout.Query) (*callout.Grant, error) {
	subjects, known := p.rules[query.User]
	if !known {
		return nil, fault.New(fault.NotFound, "nobody of that name")
	}
	return &callout.Grant{
		Account: p.account, Signer: p.signer, Name: query.User, Expires: time.Now().Add(time.Hour),
		Publish: callout.Subjects{Allow: subjects}, Subscribe: callout.Subjects{Allow: subjects},
	}, nil
}

// with are the same people, with other rules.
func (p *people) with(rules map[string][]string) *people {
	return &people{account: p.account, signer: p.signer, rules: rules}
}

// hall is a cluster with a callout on it.
type hall struct {
	t       *testing.T
	company *natstest.Company
	people  *people

	mu     sync.Mutex
	closed []audit.Closed
}

// rules let alice and bob do everything in their account.
func rules() map[string][]string {
	return map[string][]string{"alice": {">"}, "bob": {">"}, "carol": {"carol.>"}}
}

func start(t *testing.T, servers int) *hall {
	t.Helper()
	h := &hall{t: t, company: natstest.StartCompany(t, natstest.CompanyOptions{
		Servers: servers, DefaultSentinel: true, JetStream: servers == 1,
		Account: func(name string, claims *jwt.AccountClaims) {
			if name == "AUTH" && servers == 1 {
				claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
					MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
				}
			}
		},
	})}
	h.people = &people{account: h.company.APP1.ID, signer: h.company.APP1.Signer, rules: rules()}
	return h
}

// replica is one callout of several.
type replica struct {
	*registry.Keeper
	h      *hall
	engine *callout.Engine
	conns  []*nats.Conn
	ended  sync.Once
}

// callout starts a callout on the hall. blind leaves it without a user of the system account.
func (h *hall) callout(blind bool) *replica {
	h.t.Helper()
	return h.calloutOf(h.people, blind)
}

func (h *hall) calloutOf(backend callout.Backend, blind bool) *replica {
	h.t.Helper()
	return h.calloutOn(h.connect(h.company.Path("auth.creds"), nats.CustomInboxPrefix("_INBOX_callout")), backend, blind)
}

func (h *hall) calloutOn(auth *nats.Conn, backend callout.Backend, blind bool) *replica {
	h.t.Helper()
	var system *nats.Conn
	if !blind {
		system = h.connect(h.system())
	}
	return h.calloutWith(auth, system, backend)
}

// calloutWith starts a callout on connections of its own; system may be nil.
func (h *hall) calloutWith(auth, system *nats.Conn, backend callout.Backend) *replica {
	h.t.Helper()
	r := &replica{h: h, conns: []*nats.Conn{auth, system}}
	logger := slog.New(slog.DiscardHandler)
	var err error
	r.Keeper, err = registry.Start(natstest.Within(h.t), registry.Options{
		Conn: auth, System: system, Accounts: []string{h.company.APP1.ID}, Logger: logger,
		Closed: func(c audit.Closed) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.closed = append(h.closed, c)
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	r.engine, err = callout.Start(callout.Config{
		Conn: auth, Account: h.company.AUTH.ID, Issuer: h.company.AUTH.Identity, XKey: h.company.XKey,
		Backends: []callout.Backend{r.Guard(backend)}, Decided: r.Decided, Logger: logger,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.end)
	h.company.AwaitInterest("$SYS.REQ.USER.AUTH", registry.RevokeSubject, registry.SessionsSubject)
	return r
}

// end ends a callout as its process would.
func (r *replica) end() {
	r.ended.Do(func() {
		if err := r.engine.Close(context.Background()); err != nil {
			r.h.t.Error(err)
		}
		r.Keeper.Close()
		for _, nc := range r.conns {
			if nc != nil {
				nc.Close()
			}
		}
	})
}

// system is a user of the system account that may do what the registry needs, and no more.
func (h *hall) system() string {
	h.t.Helper()
	return h.company.User(h.company.SYS, "registry", func(claims *jwt.UserClaims) {
		claims.Permissions.Pub.Allow.Add(registry.SystemPublishes...)
		claims.Permissions.Sub.Allow.Add(registry.SystemSubscribes...)
		claims.Permissions.Sub.Allow.Add("_INBOX_registry.>")
	})
}

func (h *hall) connect(creds string, options ...nats.Option) *nats.Conn {
	h.t.Helper()
	if strings.HasSuffix(creds, "registry.creds") {
		options = append(options, nats.CustomInboxPrefix("_INBOX_registry"))
	}
	nc, err := h.company.Connect(creds, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	return nc
}

// host is a connection of the host's own, for commands.
func (h *hall) host() *nats.Conn {
	h.t.Helper()
	return h.connect(h.company.Path("auth.creds"), nats.CustomInboxPrefix("_INBOX_host"))
}

// login logs somebody in on one of the servers.
func (h *hall) login(name string, server int, options ...nats.Option) (*nats.Conn, error) {
	h.t.Helper()
	all := append([]nats.Option{
		nats.UserInfo(name, "x"), nats.NoReconnect(), nats.Timeout(natstest.Patience),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, options...)
	nc, err := nats.Connect(h.company.Servers[server].ClientURL(), all...)
	if err == nil {
		h.t.Cleanup(nc.Close)
	}
	return nc, err
}

func (h *hall) mustLogin(name string, server int, options ...nats.Option) *nats.Conn {
	h.t.Helper()
	nc, err := h.login(name, server, options...)
	if err != nil {
		h.t.Fatalf("%s logs in: %v", name, err)
	}
	return nc
}

// idOf is a client's connection as the registry calls it.
func idOf(t *testing.T, nc *nats.Conn) string {
	t.Helper()
	client, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	c := registry.Connection{Server: nc.ConnectedServerId(), Client: client}
	return c.ID()
}

// ids are those of all that a replica knows.
func (r *replica) ids() []string {
	var ids []string
	for _, c := range r.List(nil) {
		ids = append(ids, c.ID())
	}
	slices.Sort(ids)
	return ids
}

func idsOf(t *testing.T, conns ...*nats.Conn) []string {
	t.Helper()
	var ids []string
	for _, nc := range conns {
		ids = append(ids, idOf(t, nc))
	}
	slices.Sort(ids)
	return ids
}

// revoke has every replica close connections, and returns which were closed.
func (h *hall) revoke(request registry.RevokeRequest) []string {
	h.t.Helper()
	answers, err := registry.Revoke(natstest.Within(h.t), h.host(), request)
	if err != nil {
		h.t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, answer := range answers {
		for _, text := range answer.Closed {
			all[text] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// goneSoon waits until connections are closed.
func goneSoon(t *testing.T, conns ...*nats.Conn) {
	t.Helper()
	for _, nc := range conns {
		natstest.Eventually(t, "the connection is closed", nc.IsClosed)
	}
}

// alive checks that connections work: each still gets what is said on the subject.
func alive(t *testing.T, subject string, conns ...*nats.Conn) {
	t.Helper()
	for _, nc := range conns {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(subject, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsgWithContext(natstest.Within(t)); err != nil {
			t.Fatalf("a connection that nobody revoked: %v", err)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}
