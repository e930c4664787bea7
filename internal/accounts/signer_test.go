package accounts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chaintest"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/accounts"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signing is a server, its ledger, and a signer that runs.
type signing struct {
	*natsd.Server
	*chaintest.Hall
	t      *testing.T
	nc     *nats.Conn // as the hub's services
	ledger *ledger.Ledger
	last   map[string]uint64 // stream sequence of each chain's newest event
	stop   func()
}

func startSigning(t *testing.T) *signing {
	t.Helper()
	server, err := natsd.Start(natstest.Within(t), natsd.Options{
		DataDir: t.TempDir(), NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &signing{Server: server, t: t, Hall: chaintest.New(t, server.Keys().OperatorJWT, server.Keys().OperatorSigner), last: make(map[string]uint64)}
	s.nc = s.connect(server.Keys().HubUser)
	if s.ledger, err = ledger.Open(natstest.Within(t), s.nc, 1); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.append(s.Invites())
	return s
}

func (s *signing) connect(login natsd.Login) *nats.Conn {
	s.t.Helper()
	nc, err := s.Connect(login)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// run runs a signer until stop or the end of the test.
func (s *signing) run() {
	s.t.Helper()
	signer := &accounts.Signer{
		OperatorJWT: s.Keys().OperatorJWT, Key: s.Hall.Signing, HubAccount: s.Keys().Hub, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	hub, sys := s.connect(s.Keys().SignerUser), s.connect(s.Keys().SystemUser)
	go func() { done <- signer.Run(ctx, hub, sys, func() { close(ready) }) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		// See TestFollowingEndsWithoutAnError of package ledger for the second.
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.t.Errorf("signer: %v", err)
		}
	}
	s.t.Cleanup(s.stop)
	select {
	case <-ready:
	case err := <-done:
		done <- err
		s.t.Fatalf("signer: %v", err)
	}
	// See TestAServiceThatIsOfferedAnswers of package api.
	natstest.Eventually(s.t, "the signer answers", func() bool {
		request := api.ProveRequest{Challenge: make([]byte, 32), Document: make([]byte, 32)}
		return api.Call(natstest.Within(s.t), s.nc, "signer.prove", request, new(api.ProveAnswer)) == nil
	})
}

// append appends events and returns the stream sequence of the last.
func (s *signing) append(events ...*event.Event) uint64 {
	s.t.Helper()
	var seq uint64
	for _, ev := range events {
		var err error
		if seq, err = s.ledger.Append(natstest.Within(s.t), ev, s.last[ev.Subject]); err != nil {
			s.t.Fatal(err)
		}
		s.last[ev.Subject] = seq
	}
	return seq
}

func (s *signing) await(account string, seq uint64) error {
	return api.CallWithin(natstest.Within(s.t), natstest.Patience, s.nc, "signer.await", api.AwaitRequest{Account: account, Seq: seq}, &api.Done{})
}

func (s *signing) mustAwait(account string, seq uint64) {
	s.t.Helper()
	if err := s.await(account, seq); err != nil {
		s.t.Fatal(err)
	}
}

// joins is a member whose account is live.
func (s *signing) joins(handle string) *chaintest.Member {
	s.t.Helper()
	m, ev := s.Admits(handle)
	s.mustAwait(m.Account(), s.append(ev))
	return m
}

// login connects a device of a member with its token.
func (s *signing) login(device *trust.KeyPair, token string) (*nats.Conn, error) {
	return nats.Connect(s.ClientURL(), nats.CustomInboxPrefix("_INBOX_"+device.String()), nats.NoReconnect(),
		nats.UserJWT(func() (string, error) { return token, nil }, device.NKey().Sign))
}

func (s *signing) mustLogin(m *chaintest.Member) *nats.Conn {
	s.t.Helper()
	nc, err := s.login(m.Laptop, m.Token(m.Laptop, "laptop"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// jwtOf is the account JWT that the server has.
func (s *signing) jwtOf(account string) string {
	s.t.Helper()
	msg, err := s.connect(s.Keys().SystemUser).RequestWithContext(natstest.Within(s.t), "$SYS.REQ.ACCOUNT."+account+".CLAIMS.LOOKUP", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(msg.Data)
}

func TestAnAdmittedPersonsAccountGoesLive(t *testing.T) {
	s := startSigning(t)
	m, ev := s.Admits("alice")
	if _, err := s.login(m.Laptop, m.Token(m.Laptop, "laptop")); err == nil {
		t.Fatal("she was let in before she was admitted")
	}
	s.mustAwait(m.Account(), s.append(ev))
	nc := s.mustLogin(m)
	if err := nc.FlushTimeout(natstest.Patience); err != nil {
		t.Error(err)
	}
	claims, err := jwt.DecodeAccountClaims(s.jwtOf(m.Account()))
	if err != nil || claims.Name != "alice" || claims.Issuer != s.Hall.Signing.String() {
		t.Errorf("%v, %v", claims, err)
	}
}

func TestAShareConnectsTwoAccountsUntilItEnds(t *testing.T) {
	s := startSigning(t)
	alice, bob := s.joins("alice"), s.joins("bob")
	catalog, grant := trust.NewID(), trust.NewID()
	owner, reader := s.mustLogin(alice), s.mustLogin(bob)
	sub, err := owner.Subscribe("catalog."+bob.Account()+"."+catalog+".open", func(msg *nats.Msg) { _ = msg.Respond([]byte("here")) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := owner.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		_, err := reader.Request("from."+alice.Account()+"."+catalog+".open", nil, time.Second)
		return err
	}
	if err := ask(); err == nil {
		t.Fatal("answered before it is shared")
	}
	seq := s.append(alice.Says(chain.Grant, chain.GrantBody{Grant: grant, Catalog: catalog, To: bob.Account(), Sealed: []byte{1}}),
		bob.Says(chain.Accept, chain.AcceptBody{Grant: grant, Owner: alice.Account(), Catalog: catalog}))
	s.mustAwait(bob.Account(), seq)
	if err := ask(); err != nil {
		t.Errorf("shared and accepted: %v", err)
	}
	s.mustAwait(bob.Account(), s.append(alice.Says(chain.Revoke, chain.RevokeBody{Grant: grant, To: bob.Account()})))
	if err := ask(); !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("ended: %v", err)
	}
}

func TestARevokedDeviceIsLetInNoMore(t *testing.T) {
	s := startSigning(t)
	alice := s.joins("alice")
	phone := trust.NewKeyPair(trust.Device)
	token := alice.Token(phone, "phone")
	s.append(alice.Says(chain.AddDevice, chain.DeviceBody{Token: token}))
	nc, err := s.login(phone, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.mustAwait(alice.Account(), s.append(alice.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})))
	natstest.Eventually(t, "the phone is put out", func() bool { return nc.IsClosed() || !nc.IsConnected() })
	if again, err := s.login(phone, token); err == nil {
		again.Close()
		t.Error("the phone is let in again")
	}
	s.mustLogin(alice)
}

// TestATokenWithLessLifeEndsTheOneBefore: of a device whose token is renewed for a shorter
// time, the old token is let in no more and its connection is closed; the new one is let in.
func TestATokenWithLessLifeEndsTheOneBefore(t *testing.T) {
	s := startSigning(t)
	alice := s.joins("alice")
	phone := trust.NewKeyPair(trust.Device)
	issue := func(at time.Time, life time.Duration) string {
		t.Helper()
		token, err := trust.IssueDevice(alice.Identity, phone.Public(), "phone", at, at.Add(life))
		if err != nil {
			t.Fatal(err)
		}
		return token.Text
	}
	now := time.Now()
	long, short := issue(now.Add(-time.Hour), 24*time.Hour), issue(now, time.Hour)
	s.append(alice.Says(chain.AddDevice, chain.DeviceBody{Token: long}))
	nc, err := s.login(phone, long)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.mustAwait(alice.Account(), s.append(alice.Says(chain.AddDevice, chain.DeviceBody{Token: short})))
	natstest.Eventually(t, "the phone is put out", func() bool { return nc.IsClosed() || !nc.IsConnected() })
	if again, err := s.login(phone, long); err == nil {
		again.Close()
		t.Error("the phone is let in again with its old token")
	}
	fresh, err := s.login(phone, short)
	if err != nil {
		t.Fatal(err)
	}
	fresh.Close()
	s.mustLogin(alice)
}

// TestWhatDoesNotHoldChangesNoAccount: whoever may write to the ledger can't make the
// signer admit somebody, or import what nobody shared.
func TestWhatDoesNotHoldChangesNoAccount(t *testing.T) {
	s := startSigning(t)
	alice, bob := s.joins("alice"), s.joins("bob")
	uninvited := chaintest.New(t, s.Keys().OperatorJWT, s.Keys().OperatorSigner) // with an invite that nobody announced
	mallory, forged := uninvited.Admits("mallory")
	seq := s.append(forged,
		bob.Says(chain.Accept, chain.AcceptBody{Grant: trust.NewID(), Owner: alice.Account(), Catalog: trust.NewID()}))
	s.mustAwait(bob.Account(), seq)
	claims, err := jwt.DecodeAccountClaims(s.jwtOf(bob.Account()))
	if err != nil || len(claims.Imports) != 1 {
		t.Errorf("bob imports %v, %v", claims.Imports, err)
	}
	if err := s.await(mallory.Account(), seq); !fault.Is(err, fault.Refused) { // ten seconds
		t.Errorf("mallory: %v", err)
	}
	if token := s.jwtOf(mallory.Account()); token != "" {
		t.Errorf("mallory has an account: %s", token)
	}
}

func TestASignerThatComesBackGoesOn(t *testing.T) {
	s := startSigning(t)
	alice := s.joins("alice")
	s.stop()
	bob, ev := s.Admits("bob")
	seq := s.append(ev)
	s.run()
	s.mustAwait(alice.Account(), seq)
	s.mustAwait(bob.Account(), seq)
	s.mustLogin(bob)
}

func TestASignerThatComesBackSignsNothingAnew(t *testing.T) {
	s := startSigning(t)
	alice := s.joins("alice")
	before := s.jwtOf(alice.Account())
	claims, err := jwt.DecodeAccountClaims(before)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	natstest.Eventually(t, "a JWT of now would be another", func() bool { return time.Now().Unix() > claims.IssuedAt })
	s.run()
	s.mustAwait(alice.Account(), 2)
	if after := s.jwtOf(alice.Account()); after != before {
		t.Errorf("%s\nand\n%s", before, after)
	}
}

func TestTheSignerProvesTheHub(t *testing.T) {
	s := startSigning(t)
	document := []byte(`{"version":1}`)
	challenge, hash := [32]byte{7}, sha256.Sum256(document)
	var answer api.ProveAnswer
	if err := api.Call(natstest.Within(t), s.nc, "signer.prove", api.ProveRequest{Challenge: challenge[:], Document: hash[:]}, &answer); err != nil {
		t.Fatal(err)
	}
	hub, err := trust.ParseHub(answer.Hub)
	if err != nil || hub.ID != s.Keys().OperatorID {
		t.Fatalf("%v, %v", hub, err)
	}
	if err := hub.CheckProof(challenge, document, answer.Proof); err != nil {
		t.Error(err)
	}
	for what, request := range map[string]any{
		"a short challenge": api.ProveRequest{Challenge: challenge[:31], Document: hash[:]},
		"a long document":   api.ProveRequest{Challenge: challenge[:], Document: append(hash[:], 0)},
		"nothing":           api.ProveRequest{},
		"no JSON":           []byte("challenge"),
	} {
		if err := api.Call(natstest.Within(t), s.nc, "signer.prove", request, &answer); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheSignerClosesAConnection(t *testing.T) {
	s := startSigning(t)
	nc := s.mustLogin(s.joins("alice"))
	client, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	kick := func(request any) error {
		return api.Call(natstest.Within(t), s.nc, "signer.kick", request, &api.Done{})
	}
	for what, request := range map[string]any{
		"no server":     api.KickRequest{Client: client},
		"no connection": api.KickRequest{Server: nc.ConnectedServerId()},
		"a long server": api.KickRequest{Server: string(bytes.Repeat([]byte("S"), 65)), Client: client},
		"no JSON":       []byte("all"),
	} {
		if err := kick(request); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !nc.IsConnected() {
		t.Fatal("closed too early")
	}
	if err := kick(api.KickRequest{Server: nc.ConnectedServerId(), Client: client}); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "it is closed", func() bool { return !nc.IsConnected() })
	if err := kick(api.KickRequest{Server: "NAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Client: 1}); err != nil {
		t.Errorf("on a server that is gone: %v", err)
	}
}

// A subject that could mean every server must not be built from a request.
func TestAConnectionsServerIsNoWildcard(t *testing.T) {
	s := startSigning(t)
	nc := s.mustLogin(s.joins("alice"))
	client, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"*", ">", "a.b", " ", "PING"} {
		_ = api.Call(natstest.Within(t), s.nc, "signer.kick", api.KickRequest{Server: server, Client: client}, &api.Done{})
		if err := nc.FlushTimeout(natstest.Patience); err != nil {
			t.Fatalf("%q: %v", server, err)
		}
	}
}

func TestASignerWithoutItsKeysDoesNotStart(t *testing.T) {
	s := startSigning(t)
	hub, sys := s.connect(s.Keys().SignerUser), s.connect(s.Keys().SystemUser)
	run := func(operator string, sys *nats.Conn) error {
		signer := &accounts.Signer{OperatorJWT: operator, Key: s.Hall.Signing, HubAccount: s.Keys().Hub, Log: slog.New(slog.DiscardHandler)}
		return signer.Run(natstest.Within(t), hub, sys, func() { t.Error("ready") })
	}
	if err := run("x.y.z", sys); !errors.Is(err, trust.ErrHub) {
		t.Errorf("without an operator: %v", err)
	}
	if err := run(s.Keys().OperatorJWT, hub); err == nil {
		t.Error("without SYS it started")
	}
	sys.Close()
	if err := run(s.Keys().OperatorJWT, sys); err == nil {
		t.Error("without a connection it started")
	}
}

func TestAccountsAreInstalledOnce(t *testing.T) {
	s := startSigning(t)
	sys := s.connect(s.Keys().SystemUser)
	key := trust.NewKeyPair(trust.Account).String()
	claims := jwt.NewAccountClaims(key)
	claims.Name = "EXTRA"
	first, err := claims.Encode(s.Hall.Signing.NKey())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := accounts.Install(natstest.Within(t), sys, map[string]string{key: first}); err != nil {
			t.Fatal(err)
		}
		if got := s.jwtOf(key); got != first {
			t.Errorf("the server has %q", got)
		}
	}
	if err := accounts.Install(natstest.Within(t), sys, map[string]string{key: "x.y.z"}); err == nil {
		t.Error("something else was installed")
	}
}
