package recovery_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

// person is a member as somebody who writes their own programs: keys and raw connections.
type person struct {
	t                *testing.T
	hall             *hubtest.Hall
	hubID            string
	identity, device *trust.KeyPair
	nc               *nats.Conn
}

func joins(t *testing.T, hall *hubtest.Hall, handle string) *person {
	t.Helper()
	m := hall.Join(handle)
	hub, err := trust.ParseHub(m.Profile.Settings.Hub)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, hall: hall, hubID: hub.ID}
	p.identity = seed(t, m, trust.Account, "identity.nk")
	p.device = seed(t, m, trust.Device, "device.nk")
	p.nc = p.dial(p.device, nats.UserJWTAndSeed(m.Profile.Settings.Token, string(p.device.Seed())))
	return p
}

func seed(t *testing.T, m *hubtest.Member, kind trust.Kind, name string) *trust.KeyPair {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.Profile.Dir(), "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseSeed(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (p *person) dial(key *trust.KeyPair, options ...nats.Option) *nats.Conn {
	p.t.Helper()
	options = append(options, nats.CustomInboxPrefix(trust.InboxPrefix(key.Public())), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	nc, err := nats.Connect(p.hall.NATS(), options...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	return nc
}

// put offers a backup and returns the code of the answer, "" for a yes.
func (p *person) put(ev *event.Event) fault.Code {
	p.t.Helper()
	err := api.Call(hubtest.Context(p.t), p.nc, "hub.recovery.put", ev.Encode(), &api.Appended{})
	return fault.CodeOf(err)
}

func (p *person) backup(code *trust.Recovery, blob []byte) *event.Event {
	p.t.Helper()
	ev, err := event.NewRecovery(p.hubID, p.identity, code.Key(), time.Now(), blob)
	if err != nil {
		p.t.Fatal(err)
	}
	return ev
}

// recovery is the option by which a connection says that it comes with a code.
func recovery(user string, key *trust.KeyPair) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Nkey = user, key.String()
		o.SignatureCB = func(nonce []byte) ([]byte, error) {
			sig := key.Sign(nonce)
			return sig[:], nil
		}
		return nil
	}
}

func TestABackupNeedsTheIdentityAndTheCode(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := joins(t, hall, "alice"), joins(t, hall, "bob")
	code := trust.NewRecovery(alice.hubID)
	key := code.Key()

	byDevice := &event.Event{
		Author: alice.identity.Public(), Type: "recovery.put", Subject: event.RecoverySubject(key.String()),
		Audience: alice.hubID, Body: []byte("blob"),
	}
	must(t, byDevice.Sign(alice.device))
	must(t, byDevice.CoSign(key))
	if got := alice.put(byDevice); got != fault.Refused {
		t.Errorf("signed by a device: %q", got)
	}
	alone := &event.Event{
		Author: alice.identity.Public(), Type: "recovery.put", Subject: event.RecoverySubject(key.String()),
		Audience: alice.hubID, Body: []byte("blob"),
	}
	must(t, alone.Sign(alice.identity))
	if got := alice.put(alone); got != fault.Refused {
		t.Errorf("without the code: %q", got)
	}
	if got := bob.put(alice.backup(code, []byte("blob"))); got != fault.Refused {
		t.Errorf("alice's backup from bob: %q", got)
	}
	elsewhere, err := event.NewRecovery("OANOTHERHUB", alice.identity, key, time.Now(), []byte("blob"))
	must(t, err)
	if got := alice.put(elsewhere); got != fault.Refused {
		t.Errorf("for another hub: %q", got)
	}
	old := alice.backup(code, []byte("old"))
	time.Sleep(2 * time.Millisecond) // times are of milliseconds
	fresh := alice.backup(code, []byte("fresh"))
	if got := alice.put(fresh); got != "" {
		t.Fatalf("a good one: %q", got)
	}
	if got := alice.put(fresh); got != "" {
		t.Errorf("the same once more: %q", got)
	}
	if got := alice.put(old); got != fault.Conflict {
		t.Errorf("an older one: %q", got)
	}
	if got := bob.put(bob.backup(code, []byte("mine"))); got != fault.Refused {
		t.Errorf("bob under alice's code: %q", got)
	}
	if got := bob.put(bob.backup(trust.NewRecovery(bob.hubID), make([]byte, event.MaxRecovery))); got != "" {
		t.Errorf("the largest: %q", got)
	}
	if _, err := event.NewRecovery(bob.hubID, bob.identity, key, time.Now(), make([]byte, event.MaxRecovery+1)); err == nil {
		t.Error("a larger one was made")
	}
}

func TestWhoComesBackMayFetchTheirBackupAndNothingElse(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := joins(t, hall, "alice"), joins(t, hall, "bob")
	code, other := trust.NewRecovery(alice.hubID), trust.NewRecovery(bob.hubID)
	if alice.put(alice.backup(code, []byte("alice's"))) != "" || bob.put(bob.backup(other, []byte("bob's"))) != "" {
		t.Fatal("the backups were not taken")
	}
	key := code.Key()
	nc := alice.dial(key, recovery("recover "+key.String(), key))
	var got api.RecoveryBackup
	must(t, api.Call(hubtest.Context(t), nc, "recovery."+key.String()+".get", struct{}{}, &got))
	ev, err := event.Decode(got.Event)
	must(t, err)
	must(t, ev.CheckRecovery(alice.hubID, key.String()))
	if string(ev.Body) != "alice's" {
		t.Errorf("it is %q", ev.Body)
	}

	for _, subject := range []string{
		"recovery." + other.Key().String() + ".get", "recovery." + key.String() + ".put", "hub." + alice.identity.String() + ".people.list",
		"ledger.hub", "$JS.API.STREAM.INFO.LEDGER", "signer.prove", "services.rebuild", "admission." + key.String() + ".admit",
	} {
		refused(t, nc, subject, func() error { return nc.Publish(subject, nil) })
	}
	for _, subject := range []string{">", "recovery.>", "_INBOX.>", "_INBOX_" + bob.device.String() + ".>", "ledger.>"} {
		refused(t, nc, subject, func() error { _, err := nc.SubscribeSync(subject); return err })
	}
	// An answer goes to the own inbox or nowhere.
	msg := &nats.Msg{Subject: "recovery." + key.String() + ".get", Reply: "$JS.API.STREAM.DELETE.LEDGER"}
	must(t, nc.PublishMsg(msg))
	must(t, nc.Flush())
	if _, err := alice.nc.Request("hub.stats.get", nil, hubtest.Patience); err != nil {
		t.Error(err)
	}
}

func TestACodeWithoutABackupIsRefusedLikeAnyLogin(t *testing.T) {
	hall := hubtest.Start(t)
	alice := joins(t, hall, "alice")
	code, newer := trust.NewRecovery(alice.hubID), trust.NewRecovery(alice.hubID)
	if alice.put(alice.backup(code, []byte("first"))) != "" {
		t.Fatal("the backup was not taken")
	}
	time.Sleep(2 * time.Millisecond) // times are of milliseconds
	if alice.put(alice.backup(newer, []byte("second"))) != "" {
		t.Fatal("the newer backup was not taken")
	}
	key, stranger, good := code.Key(), trust.NewKeyPair(trust.Device), newer.Key()
	for name, option := range map[string]nats.Option{
		"a code that was replaced": recovery("recover "+key.String(), key),
		"a code nobody made":       recovery("recover "+stranger.String(), stranger),
		"a key of somebody else's": recovery("recover "+good.String(), stranger),
		"a wildcard":               recovery("recover *", stranger),
		"something more":           recovery("recover "+good.String()+" >", good),
		"an account":               recovery("recover "+alice.identity.String(), stranger),
	} {
		nc, err := nats.Connect(hall.NATS(), option)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			nc.Close()
		}
	}
}

func TestABackupIsFetchedAFewTimesAMinute(t *testing.T) {
	hall := hubtest.Start(t)
	alice := joins(t, hall, "alice")
	code := trust.NewRecovery(alice.hubID)
	if alice.put(alice.backup(code, []byte("blob"))) != "" {
		t.Fatal("the backup was not taken")
	}
	key := code.Key()
	nc := alice.dial(key, recovery("recover "+key.String(), key))
	answered := 0
	for range 30 {
		msg, err := nc.Request("recovery."+key.String()+".get", nil, hubtest.Patience)
		must(t, err)
		if msg.Header.Get(micro.ErrorCodeHeader) == "" {
			answered++
			must(t, json.Unmarshal(msg.Data, &api.RecoveryBackup{}))
		}
	}
	if answered < 10 || answered > 15 {
		t.Errorf("%d of 30 were answered", answered)
	}
}

// refused checks that the server reports a permissions violation.
func refused(t *testing.T, nc *nats.Conn, subject string, do func() error) {
	t.Helper()
	violations := make(chan error, 1)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if strings.Contains(err.Error(), subject) {
			select {
			case violations <- err:
			default:
			}
		}
	})
	must(t, do())
	must(t, nc.Flush())
	ctx, cancel := context.WithTimeout(hubtest.Context(t), 5*time.Second)
	defer cancel()
	select {
	case <-violations:
	case <-ctx.Done():
		t.Errorf("%s was not refused", subject)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
