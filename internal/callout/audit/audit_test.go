package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signer is the callout's user.
type signer struct {
	device *trust.KeyPair
	token  string
}

func newSigner(t *testing.T) signer {
	t.Helper()
	account, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	token, err := jwt.NewUserClaims(device.String()).Encode(account.NKey())
	if err != nil {
		t.Fatal(err)
	}
	return signer{device, token}
}

func (s signer) identity() audit.Identity {
	return audit.Identity{Seed: s.device.Seed(), Token: s.token}
}

// serve starts a server with JetStream on a folder, at a port that may be 0 for any.
func serve(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, JetStream: true, StoreDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(natstest.Patience) {
		t.Fatal("the server does not come up")
	}
	return s
}

func connect(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// open opens a log that is closed in the end.
func open(t *testing.T, o audit.Options) *audit.Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := audit.Start(natstest.Within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what a test needs it has waited for
		_ = l.Close(ctx)
	})
	return l
}

// read reads everything.
func read(t *testing.T, nc *nats.Conn, r audit.Reader) (records []*audit.Record) {
	t.Helper()
	r.Conn = nc
	if err := r.Read(natstest.Within(t), func(record *audit.Record) error {
		records = append(records, record)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return records
}

func allowed(name string) callout.Decision {
	d := callout.Decision{
		Allowed: true, Outcome: callout.Allowed, Name: name, User: name, Backend: "users", Rule: "users.json: " + name, Account: "AAPP",
		Client: callout.Client{ID: 7, Host: "192.0.2.1", Name: "till", Type: "nats"}, Server: callout.Server{ID: "NS", Name: "east"},
		UserKey: "UKEY", Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Duration: 1500 * time.Microsecond,
	}
	d.Rights.Publish.Allow = []string{"orders.>"}
	return d
}

func TestEveryDecisionIsWrittenSignedAndComesBack(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	hostile := callout.Decision{
		Outcome: callout.Disproved, Reason: "wrong password", Backend: "users",
		User: "eve\n2026-01-01 alice allowed\x1b[2J", Client: callout.Client{Name: "\r\n{\"outcome\":\"allowed\"}\x00\xff"},
	}
	l.Decided(allowed("alice"))
	l.Decided(hostile)
	l.Closed(audit.Closed{By: audit.ByHost, Name: "alice", Closed: []audit.Connection{{Server: "NS", CID: 7}}})
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	records := read(t, nc, audit.Reader{Devices: []string{who.device.String()}})
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	for _, record := range records {
		if record.Err != nil || record.Missing != 0 || record.Device != who.device.String() {
			t.Errorf("%+v", record)
		}
	}
	first := records[0].Login
	if first == nil || first.Name != "alice" || first.Outcome != callout.Allowed || first.Host != "192.0.2.1" || first.CID != 7 ||
		first.Server != "NS" || first.Account != "AAPP" || first.Microseconds != 1500 || first.Rights == nil ||
		first.Rights.Digest == "" || first.Rights.Publish.Allow[0] != "orders.>" || !first.Expires.Equal(allowed("").Expires) {
		t.Errorf("%+v", first)
	}
	if second := records[1].Login; second == nil || second.User != hostile.User || second.Outcome != callout.Disproved || second.Rights != nil {
		t.Errorf("%+v", second)
	}
	if third := records[2].Closed; third == nil || third.Name != "alice" || len(third.Closed) != 1 || third.By != audit.ByHost {
		t.Errorf("%+v", third)
	}
	if none := read(t, nc, audit.Reader{Devices: []string{who.device.String()}, Since: time.Now().Add(time.Hour)}); none != nil {
		t.Errorf("since tomorrow there are %d", len(none))
	}
}

// An attacker who can write to the stream is seen: nothing of theirs passes for an entry.
func TestNobodyElsesEntriesVerify(t *testing.T) {
	s, who, eve := serve(t, t.TempDir(), 0), newSigner(t), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	l.Decided(allowed("alice"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(natstest.Within(t), audit.Stream)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetMsg(natstest.Within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	// again is the true entry, changed.
	again := func(change func(*nats.Msg)) *nats.Msg {
		message := &nats.Msg{Subject: stored.Subject, Header: nats.Header{}, Data: bytes.Clone(stored.Data)}
		for name, values := range stored.Header {
			message.Header[name] = values
		}
		message.Header.Set(nats.MsgIdHdr, stored.Header.Get(nats.MsgIdHdr))
		change(message)
		return message
	}
	author := trust.NewKeyPair(trust.Account).Public()
	forged := &event.Event{Author: author, Type: "callout.login", Subject: audit.LoginSubject, Body: []byte(`{"outcome":"allowed","took_us":1}`)}
	if err := forged.Sign(eve.device); err != nil {
		t.Fatal(err)
	}
	inItsName := &event.Event{Author: author, Type: "callout.login", Subject: audit.LoginSubject, Body: forged.Body}
	if err := inItsName.Sign(eve.device); err != nil {
		t.Fatal(err)
	}
	inItsName.Device = who.device.Public()
	elsewhere := &event.Event{Author: author, Type: "till.opened", Subject: audit.LoginSubject, Body: []byte(`{}`)}
	if err := elsewhere.Sign(who.device); err != nil {
		t.Fatal(err)
	}
	// The duplicate window would drop the copy: it is left out for it.
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(natstest.Within(t), config); err != nil {
		t.Fatal(err)
	}
	forgeries := map[string]*nats.Msg{
		"a stranger's": (&event.Envelope{Event: forged, Access: eve.token}).Msg(event.Headers),
		// Who is named in the access token does not count: the signature does.
		"a stranger's with the callout's token": (&event.Envelope{Event: forged, Access: who.token}).Msg(event.Headers),
		"a stranger's in the callout's name":    (&event.Envelope{Event: inItsName, Access: who.token}).Msg(event.Headers),
		"another body":                          again(func(m *nats.Msg) { m.Data = bytes.Replace(m.Data, []byte("alice"), []byte("mallo"), 1) }),
		"another kind of event":                 (&event.Envelope{Event: elsewhere, Access: who.token}).Msg(event.Headers),
		"no event":                              {Subject: audit.LoginSubject, Data: []byte(`{"outcome":"allowed"}`)},
		"nothing":                               {Subject: "audit.x"},
		"another subject":                       again(func(m *nats.Msg) { m.Subject = audit.ClosedSubject }),
		"a copy":                                again(func(*nats.Msg) {}),
	}
	for what, message := range forgeries {
		natstest.Eventually(t, what+" is in the stream", func() bool {
			ack, err := js.PublishMsg(natstest.Within(t), message)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			return !ack.Duplicate
		})
	}
	records := read(t, nc, audit.Reader{Devices: []string{who.device.String()}})
	if len(records) != 1+len(forgeries) {
		t.Fatalf("%d records", len(records))
	}
	if records[0].Err != nil || records[0].Login.Name != "alice" {
		t.Errorf("the true one: %+v", records[0])
	}
	for _, record := range records[1:] {
		if record.Err == nil || record.Login != nil || record.Closed != nil || record.Gap != nil {
			t.Errorf("passes: %+v %+v", record, record.Login)
		}
	}
}

func TestWithoutJetStreamEntriesAreLines(t *testing.T) {
	s, who := natstest.Start(t, nil), newSigner(t)
	nc := connect(t, s)
	var lines, logged bytes.Buffer
	l := open(t, audit.Options{
		Conn: nc, Identity: who.identity(), Lines: &lines, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if l.Signed() || !strings.Contains(logged.String(), "no JetStream") {
		t.Errorf("signed %v, said %q", l.Signed(), logged.String())
	}
	d := allowed("alice")
	d.User = "a\nb\u2028c"
	l.Decided(d)
	l.Decided(allowed("bob"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n")
	if len(got) != 2 {
		t.Fatalf("%d lines: %s", len(got), lines.String())
	}
	var line struct {
		Type string
		Data audit.Entry
	}
	if err := json.Unmarshal([]byte(got[0]), &line); err != nil || line.Type != "callout.login" || line.Data.User != d.User {
		t.Errorf("%+v, %v", line, err)
	}
	reader := audit.Reader{Conn: nc}
	if err := reader.Read(natstest.Within(t), nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
}

// While NATS is away nobody waits, and what did not fit is told.
func TestWhatIsLostIsAGapAndNobodyWaits(t *testing.T) {
	dir, who := t.TempDir(), newSigner(t)
	s := serve(t, dir, 0)
	var port int
	if _, err := fmt.Sscanf(s.ClientURL(), "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity(), Waiting: 200})
	l.Decided(allowed("before"))
	natstest.Eventually(t, "the first is written", func() bool {
		return len(read(t, nc, audit.Reader{Devices: []string{who.device.String()}})) == 1
	})
	s.Shutdown()
	s.WaitForShutdown()
	const many = 2000
	for range many {
		l.Decided(allowed("meanwhile"))
	}
	lost := l.Lost()
	if lost == 0 || lost >= many {
		t.Fatalf("%d lost", lost)
	}
	again := serve(t, dir, port)
	natstest.Eventually(t, "the client is back", nc.IsConnected)
	l.Decided(allowed("after"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	written, told := 0, int64(0)
	for _, record := range read(t, connect(t, again), audit.Reader{Devices: []string{who.device.String()}}) {
		switch {
		case record.Err != nil:
			t.Fatal(record.Err)
		case record.Gap != nil:
			told += record.Gap.Lost
			if record.Gap.From.IsZero() || record.Gap.To.Before(record.Gap.From) {
				t.Errorf("%+v", record.Gap)
			}
		default:
			written++
		}
	}
	if int64(written)+told != many+2 || told != l.Lost() {
		t.Errorf("%d written and %d told of %d; lost %d", written, told, many+2, l.Lost())
	}
}

func TestAGivenUpLogSaysWhatIsLost(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	l := open(t, audit.Options{Conn: connect(t, s), Identity: who.identity()})
	s.Shutdown()
	l.Decided(allowed("alice"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); err == nil || l.Lost() != 1 {
		t.Errorf("%v, %d lost", err, l.Lost())
	}
	l.Decided(allowed("late"))
	if l.Lost() != 2 {
		t.Errorf("%d lost", l.Lost())
	}
}

func TestAStreamThatWasRemovedIsMadeAgain(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(natstest.Within(t), audit.Stream); err != nil {
		t.Fatal(err)
	}
	l.Decided(allowed("alice"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	if records := read(t, nc, audit.Reader{Devices: []string{who.device.String()}}); len(records) != 1 || records[0].Err != nil {
		t.Errorf("%+v", records)
	}
}

func TestTheStreamIsBoundedAndKeepsWhatItHas(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	open(t, audit.Options{Conn: nc, Identity: who.identity(), MaxAge: time.Hour, MaxBytes: 1 << 20})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(natstest.Within(t), audit.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.MaxAge != time.Hour || c.MaxBytes != 1<<20 || !c.DenyDelete || !c.DenyPurge {
		t.Errorf("%+v", c)
	}
	if err := stream.Purge(natstest.Within(t)); err == nil {
		t.Error("purged")
	}
	// Other limits, at the next start.
	open(t, audit.Options{Conn: nc, Identity: who.identity(), MaxAge: 2 * time.Hour, MaxBytes: 1 << 21})
	if stream, err = js.Stream(natstest.Within(t), audit.Stream); err != nil || stream.CachedInfo().Config.MaxAge != 2*time.Hour {
		t.Error("the limits stay", err)
	}
}

// Who hammers at the door has a few entries, in which all that they did is counted; a guess
// that was judged always has its own.
func TestAFloodFromOneAddressIsAFewEntries(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	turnedAway := func(host string, outcome callout.Outcome) callout.Decision {
		return callout.Decision{Outcome: outcome, Client: callout.Client{Host: host}}
	}
	const many = 1000
	for range many {
		l.Decided(turnedAway("192.0.2.1", callout.Throttled))
		l.Decided(turnedAway("192.0.2.2", callout.Shed))
	}
	for range 5 {
		l.Decided(turnedAway("192.0.2.1", callout.Disproved))
	}
	l.Decided(turnedAway("192.0.2.3", callout.Throttled))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	entries, told := map[string]int{}, map[string]int{}
	for _, record := range read(t, nc, audit.Reader{Devices: []string{who.device.String()}}) {
		key := record.Login.Host + " " + string(record.Login.Outcome)
		entries[key]++
		told[key] += 1 + record.Login.More
	}
	for key, want := range map[string]int{"192.0.2.1 throttled": many, "192.0.2.2 shed": many, "192.0.2.1 wrong": 5, "192.0.2.3 throttled": 1} {
		if told[key] != want {
			t.Errorf("%s: %d told of %d", key, told[key], want)
		}
	}
	if flood := entries["192.0.2.1 throttled"] + entries["192.0.2.2 shed"]; flood > many/10 {
		t.Errorf("%d entries", flood)
	}
	if entries["192.0.2.1 wrong"] != 5 {
		t.Errorf("%d entries of guesses", entries["192.0.2.1 wrong"])
	}
}

// What costs nobody a guess, from one address, does not push everybody else out either:
// proofs that hold nothing, and words that no backend takes.
func TestAFloodOfRefusalsIsFewEntries(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity(), Waiting: 1024})
	const many = 5000
	for range many {
		for _, d := range []callout.Decision{
			{Outcome: callout.Refused, Client: callout.Client{Host: "192.0.2.1"}},
			{Outcome: callout.Disproved, Backend: "oidc", Client: callout.Client{Host: "192.0.2.1"}},
			{Outcome: callout.Malformed},
		} {
			l.Decided(d)
		}
	}
	l.Decided(allowed("alice"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	told, entries, entered := map[callout.Outcome]int{}, 0, false
	for _, record := range read(t, nc, audit.Reader{Devices: []string{who.device.String()}}) {
		entries++
		told[record.Login.Outcome] += 1 + record.Login.More
		entered = entered || record.Login.Name == "alice"
	}
	for _, outcome := range []callout.Outcome{callout.Refused, callout.Disproved, callout.Malformed} {
		if told[outcome] != many {
			t.Errorf("%s: %d told of %d", outcome, told[outcome], many)
		}
	}
	if entries > many/10 || !entered {
		t.Errorf("%d entries, and she who came in is there: %t", entries, entered)
	}
}

func TestAServerWithLittleRoomHasASmallerAudit(t *testing.T) {
	who := newSigner(t)
	s := natstest.Start(t, &server.Options{JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 8 << 20})
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	l.Decided(allowed("alice"))
	if err := l.Close(natstest.Within(t)); err != nil || !l.Signed() {
		t.Fatal(err)
	}
	if records := read(t, nc, audit.Reader{Devices: []string{who.device.String()}}); len(records) != 1 || records[0].Err != nil {
		t.Errorf("%+v", records)
	}
}

func TestAFollowerSeesWhatComes(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	ctx, cancel := context.WithCancel(natstest.Within(t))
	defer cancel()
	var mu sync.Mutex
	var names []string
	ended := make(chan error, 1)
	go func() {
		reader := audit.Reader{Conn: nc, Devices: []string{who.device.String()}, Follow: true}
		ended <- reader.Read(ctx, func(record *audit.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if names = append(names, record.Login.Name); len(names) == 2 {
				cancel()
			}
			return nil
		})
	}()
	l.Decided(allowed("alice"))
	natstest.Eventually(t, "the first is seen", func() bool { mu.Lock(); defer mu.Unlock(); return len(names) == 1 })
	l.Decided(allowed("bob"))
	if err := <-ended; err != nil || strings.Join(names, " ") != "alice bob" {
		t.Errorf("%v %v", names, err)
	}
}

func TestASignerHasToBeTheTokens(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	for what, identity := range map[string]audit.Identity{
		"nothing": {}, "no token": {Seed: who.device.Seed()}, "another's token": {Seed: who.device.Seed(), Token: newSigner(t).token},
		"another's seed": {Seed: trust.NewKeyPair(trust.Account).Seed(), Token: who.token},
	} {
		if l, err := audit.Start(natstest.Within(t), audit.Options{Conn: nc, Identity: identity}); err == nil {
			t.Errorf("%s: taken", what)
			_ = l.Close(t.Context())
		}
	}
}

func TestLongListsAreCutAndCounted(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	d := allowed("alice")
	for i := range 100 {
		d.Rights.Subscribe.Allow = append(d.Rights.Subscribe.Allow, filepath.Join("room", fmt.Sprint(i)))
	}
	l.Decided(d)
	closed := audit.Closed{By: audit.ByRules}
	for i := range uint64(100) {
		closed.Closed = append(closed.Closed, audit.Connection{Server: "NS", CID: i})
	}
	l.Closed(closed)
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	records := read(t, nc, audit.Reader{Devices: []string{who.device.String()}})
	rights := records[0].Login.Rights
	if len(rights.Subscribe.Allow) != 32 || rights.More != 68 {
		t.Errorf("%d shown, %d more", len(rights.Subscribe.Allow), rights.More)
	}
	if c := records[1].Closed; len(c.Closed) != 64 || c.More != 36 {
		t.Errorf("%d shown, %d more", len(c.Closed), c.More)
	}
}

var errEnough = errors.New("enough")

func TestAReadersErrorEndsTheReading(t *testing.T) {
	s, who := serve(t, t.TempDir(), 0), newSigner(t)
	nc := connect(t, s)
	l := open(t, audit.Options{Conn: nc, Identity: who.identity()})
	l.Decided(allowed("alice"))
	if err := l.Close(natstest.Within(t)); err != nil {
		t.Fatal(err)
	}
	reader := audit.Reader{Conn: nc, Devices: []string{who.device.String()}}
	if err := reader.Read(natstest.Within(t), func(*audit.Record) error { return errEnough }); !errors.Is(err, errEnough) {
		t.Error(err)
	}
}
