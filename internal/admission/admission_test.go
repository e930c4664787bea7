package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chaintest"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/admission"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a hub's admission service, on a ledger with the host's invite in it.
type door struct {
	*chaintest.Hall
	t      *testing.T
	server *natsd.Server
	ledger *ledger.Ledger
	nc     *nats.Conn // of the hub's services

	mu      sync.Mutex
	settled []string // account and sequence, for each time it was asked
	waits   func(stage string) error
}

func (d *door) note(stage string) func(context.Context, string, uint64) error {
	return func(_ context.Context, account string, seq uint64) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.settled = append(d.settled, fmt.Sprintf("%s %s %d", stage, account, seq))
		if d.waits != nil {
			return d.waits(stage)
		}
		return nil
	}
}

func openDoor(t *testing.T) *door {
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
	d := &door{t: t, server: server, Hall: chaintest.New(t, server.Keys().OperatorJWT, server.Keys().OperatorSigner)}
	if d.nc, err = server.Connect(server.Keys().HubUser); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.nc.Close)
	if d.ledger, err = ledger.Open(natstest.Within(t), d.nc, 1); err != nil {
		t.Fatal(err)
	}
	d.append(d.Invites(), 0)
	d.serve()
	return d
}

func (d *door) append(ev *event.Event, after uint64) uint64 {
	d.t.Helper()
	seq, err := d.ledger.Append(natstest.Within(d.t), ev, after)
	if err != nil {
		d.t.Fatal(err)
	}
	return seq
}

// serve runs the service until the test ends.
func (d *door) serve() {
	d.t.Helper()
	s := admission.New(d.Hub, d.ledger)
	s.Settle, s.Await = d.note("settle"), d.note("await")
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- s.Follow(ctx, slog.New(slog.DiscardHandler)) }()
	wait, err := s.Serve(ctx, d.nc, slog.New(slog.DiscardHandler))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		cancel()
		wait()
		if err := <-followed; err != nil && !errors.Is(err, context.Canceled) {
			d.t.Error(err)
		}
	})
	if err := d.nc.FlushTimeout(natstest.Patience); err != nil {
		d.t.Fatal(err)
	}
}

// newcomer connects as somebody with an invite, as the callout lets them in.
func (d *door) newcomer(invite *trust.KeyPair) *nats.Conn {
	d.t.Helper()
	claims := jwt.NewUserClaims(invite.String())
	claims.IssuerAccount = d.server.Keys().Hub
	claims.Pub.Allow.Add("admission." + invite.String() + ".admit")
	claims.Sub.Allow.Add("_INBOX_" + invite.String() + ".>")
	token, err := claims.Encode(d.server.Keys().HubSigner)
	if err != nil {
		d.t.Fatal(err)
	}
	nc, err := nats.Connect(d.server.ClientURL(), nats.CustomInboxPrefix("_INBOX_"+invite.String()),
		nats.UserJWT(func() (string, error) { return token, nil }, invite.NKey().Sign))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(nc.Close)
	return nc
}

// asks hands an admission in with an invite.
func (d *door) asks(invite *trust.KeyPair, data []byte) (seq uint64, err error) {
	d.t.Helper()
	var answer api.Appended
	err = api.CallWithin(natstest.Within(d.t), natstest.Patience, d.newcomer(invite), "admission."+invite.String()+".admit", data, &answer)
	return answer.Seq, err
}

// people are the accounts of the ledger, in the order of their admission.
func (d *door) people() (accounts []string) {
	d.t.Helper()
	err := d.ledger.ReadChain(natstest.Within(d.t), chain.PersonSubject("*"), func(entry ledger.Entry) (bool, error) {
		if entry.Event.Type == chain.Admit {
			accounts = append(accounts, entry.Event.Author.Text(trust.Account))
		}
		return true, nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return accounts
}

func TestANewcomerIsAdmittedAndToldWhenTheyAreLive(t *testing.T) {
	d := openDoor(t)
	alice, ev := d.Admits("alice")
	seq, err := d.asks(d.Invite, ev.Encode())
	if err != nil || seq != 1 {
		t.Fatalf("place %d, %v", seq, err)
	}
	if got := d.people(); !slices.Equal(got, []string{alice.Account()}) {
		t.Errorf("people %v", got)
	}
	want := []string{"settle " + alice.Account() + " 2", "await " + alice.Account() + " 2"}
	if !slices.Equal(d.settled, want) {
		t.Errorf("waited for %v, want %v", d.settled, want)
	}
}

func TestManyNewcomersComeAtOnce(t *testing.T) {
	d := openDoor(t)
	const newcomers = 8
	var group sync.WaitGroup
	for i := range newcomers {
		_, ev := d.Admits(fmt.Sprintf("guest%d", i))
		group.Go(func() {
			if _, err := d.asks(d.Invite, ev.Encode()); err != nil {
				t.Errorf("guest%d: %v", i, err)
			}
		})
	}
	group.Wait()
	if got := d.people(); len(got) != newcomers {
		t.Errorf("%d people", len(got))
	}
}

func TestOfTwoWithOneHandleOneIsAdmitted(t *testing.T) {
	d := openDoor(t)
	results := make(chan error, 2)
	for range 2 {
		_, ev := d.Admits("alice")
		go func() {
			_, err := d.asks(d.Invite, ev.Encode())
			results <- err
		}()
	}
	one, two := <-results, <-results
	if one != nil {
		one, two = two, one
	}
	if one != nil || !fault.Is(two, fault.Taken) || len(d.people()) != 1 {
		t.Errorf("%v and %v, %d people", one, two, len(d.people()))
	}
}

func TestAnInviteWithOneUseAdmitsOne(t *testing.T) {
	d := openDoor(t)
	host, ev := d.Admits("host")
	if _, err := d.asks(d.Invite, ev.Encode()); err != nil {
		t.Fatal(err)
	}
	key := trust.NewKeyPair(trust.Device)
	d.append(host.Says(chain.Invite, chain.InviteBody{
		Invite: key.String(), Uses: 1, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
	}), 2)
	by := func(handle string) []byte { return d.admitsBy(handle, key, host.Account()).Encode() }
	results := make(chan error, 2)
	for _, data := range [][]byte{by("bob"), by("carol")} {
		go func() {
			_, err := d.asks(key, data)
			results <- err
		}()
	}
	one, two := <-results, <-results
	if one != nil {
		one, two = two, one
	}
	if one != nil || !fault.Is(two, fault.Refused) || len(d.people()) != 2 {
		t.Errorf("%v and %v, %d people", one, two, len(d.people()))
	}
}

// admitsBy is the admission of somebody by another invite than the host's.
func (d *door) admitsBy(handle string, key *trust.KeyPair, inviter string) *event.Event {
	_, ev := d.AdmitsBy(handle, key, inviter)
	return ev
}

func TestAnAdmissionThatDoesNotHoldIsRefused(t *testing.T) {
	d := openDoor(t)
	keys := foreignKeys(t)
	foreign := chaintest.New(t, keys.OperatorJWT, keys.OperatorSigner)
	unknown := trust.NewKeyPair(trust.Device)
	_, ev := d.Admits("alice")
	changed := slices.Clone(ev.Encode())
	changed[len(changed)-1] ^= 1
	_, early := d.Admits("early")
	early.Time = early.Time.Add(-time.Hour)
	m, _ := d.Admits("mallory")
	if err := early.Sign(m.Identity); err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string]struct {
		invite *trust.KeyPair
		data   []byte
		code   fault.Code
	}{
		"nothing":                    {d.Invite, nil, fault.Malformed},
		"no event":                   {d.Invite, []byte("let me in"), fault.Malformed},
		"a changed event":            {d.Invite, changed, fault.Refused},
		"an hour old":                {d.Invite, early.Encode(), fault.Refused},
		"not an admission":           {d.Invite, m.Says(chain.AddDevice, chain.DeviceBody{}).Encode(), fault.Conflict},
		"an invite nobody announced": {unknown, d.admitsBy("bob", unknown, d.Hub.ID).Encode(), fault.Refused},
		"an inviter nobody knows":    {d.Invite, d.admitsBy("bob", d.Invite, m.Account()).Encode(), fault.Refused},
		"under another invite":       {unknown, ev.Encode(), fault.Refused},
		"for another hub":            {d.Invite, admitsFor(foreign, "bob").Encode(), fault.Refused},
	} {
		if seq, err := d.asks(row.invite, row.data); fault.CodeOf(err) != row.code {
			t.Errorf("%s: place %d, %v; want %q", what, seq, err, row.code)
		}
	}
	if got := d.people(); len(got) != 0 || len(d.settled) != 0 {
		t.Errorf("people %v, waited for %v", got, d.settled)
	}
	place, err := d.asks(d.Invite, ev.Encode())
	if err != nil {
		t.Errorf("what is good is refused too: %v", err)
	}
	// the very same once more is done already, or is said to be
	if again, err := d.asks(d.Invite, ev.Encode()); (err != nil && !fault.Is(err, fault.Conflict)) || (err == nil && again != place) {
		t.Errorf("once more: place %d, %v", again, err)
	}
	if got := d.people(); len(got) != 1 {
		t.Errorf("people %v", got)
	}
}

// foreignKeys are those of another hub.
func foreignKeys(t *testing.T) *natsd.Keys {
	t.Helper()
	other, err := natsd.Start(natstest.Within(t), natsd.Options{DataDir: t.TempDir(), NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	return other.Keys()
}

func admitsFor(h *chaintest.Hall, handle string) *event.Event {
	_, ev := h.Admits(handle)
	return ev
}

func TestANewcomerHearsWhenTheHubIsNotReady(t *testing.T) {
	d := openDoor(t)
	for stage, err := range map[string]error{
		"settle": fault.New(fault.Unavailable, "the views lag behind"), "await": fault.New(fault.Refused, "the signer does not accept that"),
	} {
		d.mu.Lock()
		d.waits = func(asked string) error {
			if asked == stage {
				return err
			}
			return nil
		}
		d.mu.Unlock()
		_, ev := d.Admits("guest-" + stage)
		if _, got := d.asks(d.Invite, ev.Encode()); got == nil || fault.CodeOf(got) != fault.CodeOf(err) || got.Error() != err.Error() {
			t.Errorf("%s: %v", stage, got)
		}
	}
}

func TestWhatDoesNotHoldInTheLedgerAdmitsNobodyAndStopsNobody(t *testing.T) {
	d := openDoor(t)
	uninvited := chaintest.New(t, d.server.Keys().OperatorJWT, d.server.Keys().OperatorSigner) // with an invite that nobody announced
	mallory, forged := uninvited.Admits("alice")
	d.append(forged, 0)
	if _, err := d.asks(d.Invite, admitsFor(d.Hall, "alice").Encode()); err != nil {
		t.Errorf("the handle counts as taken by %s: %v", mallory.Account(), err)
	}
}

// TestANewcomerAsksFromTheInboxOfTheirInvite: see TestAnAnswerGoesOnlyWhereTheCallerMayBe of
// package api for the rule; this is whether the service has it.
func TestANewcomerAsksFromTheInboxOfTheirInvite(t *testing.T) {
	d := openDoor(t)
	var answer api.Appended
	data := admitsFor(d.Hall, "alice").Encode()
	err := api.CallWithin(natstest.Within(t), 100*time.Millisecond, d.nc, "admission."+d.Invite.String()+".admit", data, &answer)
	if !fault.Is(err, fault.Unavailable) || len(d.people()) != 0 {
		t.Errorf("%v, people %v", err, d.people())
	}
}
