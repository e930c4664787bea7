package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is a server with one account: the services' rules do not rest on its permissions.
type bus struct {
	t      *testing.T
	server *natsserver.Server
}

func startBus(t *testing.T) *bus {
	t.Helper()
	s := natstest.Start(t, nil)
	return &bus{t, s}
}

// connect connects with inboxes of a prefix of its own.
func (b *bus) connect(inbox string) *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.server.ClientURL(), nats.CustomInboxPrefix(inbox))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// offer offers a service until the test ends, and returns when it answers.
func (b *bus) offer(s api.Service) *lockedLog {
	b.t.Helper()
	return b.offerOn(b.connect("_INBOX_UHUB"), s)
}

func (b *bus) offerOn(nc *nats.Conn, s api.Service) *lockedLog {
	b.t.Helper()
	log := new(lockedLog)
	ctx, cancel := context.WithCancel(context.Background())
	wait, err := api.Serve(ctx, nc, s, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cancel()
		wait()
	})
	if err := nc.FlushTimeout(natstest.Patience); err != nil { // see TestAServiceThatIsOfferedAnswers
		b.t.Fatal(err)
	}
	return log
}

// verb is a service of one verb, hub.<caller>.test.do, which answers anybody.
func verb(handle api.Handler) api.Service {
	return api.Service{
		Name: "test", Verbs: map[string]api.Handler{"do": handle},
		Reply: func(_, _ string) bool { return true },
	}
}

type echo struct {
	Caller string `json:"caller"`
	Text   string `json:"text"`
}

// echoes answers with who asked and what.
func echoes(_ context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[echo](data)
	if err != nil {
		return nil, err
	}
	return echo{caller, request.Text}, nil
}

func TestACallIsAnswered(t *testing.T) {
	b := startBus(t)
	b.offer(verb(echoes))
	nc := b.connect("_INBOX_UALICE")
	var answer echo
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{Text: "hello"}, &answer); err != nil {
		t.Fatal(err)
	}
	if want := (echo{"ALICE", "hello"}); answer != want {
		t.Errorf("%+v, want %+v", answer, want)
	}
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", []byte(`{"text":"raw"}`), &answer); err != nil || answer.Text != "raw" {
		t.Errorf("%+v, %v", answer, err)
	}
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", []byte{}, &answer); err != nil || answer.Text != "" {
		t.Errorf("nothing asked: %+v, %v", answer, err)
	}
}

func TestAServiceThatIsOfferedAnswers(t *testing.T) {
	b := startBus(t)
	nc := b.connect("_INBOX_UALICE")
	for i := range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		s := verb(echoes)
		s.Prefix = fmt.Sprintf("test%d.*", i)
		wait, err := api.Serve(ctx, b.connect("_INBOX_UHUB"), s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		err = api.Call(natstest.Within(t), nc, fmt.Sprintf("test%d.ALICE.do", i), echo{}, &echo{})
		cancel()
		wait()
		if err != nil {
			t.Fatalf("the %dth: %v", i+1, err)
		}
	}
}

func TestAFailureHasItsCodeAndASentence(t *testing.T) {
	secret := errors.New("the secret cause")
	for what, row := range map[string]struct {
		err      error
		code     fault.Code
		sentence string // "" for that of the error
	}{
		"a fault":            {fault.New(fault.NotFound, "no such room"), fault.NotFound, ""},
		"a fault inside":     {fmt.Errorf("look up: %w", fault.New(fault.Expired, "too late")), fault.Expired, "too late"},
		"a hidden cause":     {fault.Wrap(fault.Unavailable, secret, "try again"), fault.Unavailable, ""},
		"a moved chain":      {fmt.Errorf("append: %w", chain.ErrPlace), fault.Conflict, "something changed meanwhile; look again and try again"},
		"a malformed event":  {fmt.Errorf("%w: type", event.ErrMalformed), fault.Malformed, ""},
		"what cannot be":     {fmt.Errorf("%w: no device", chain.ErrContent), fault.Malformed, ""},
		"no canonical form":  {trust.ErrCanonical, fault.Malformed, ""},
		"nobody entitled":    {fmt.Errorf("%w: a reader", chain.ErrRefused), fault.Refused, ""},
		"a forged signature": {event.ErrSignature, fault.Refused, ""},
		"a changed body":     {event.ErrBody, fault.Refused, ""},
		"another place":      {event.ErrNotMeant, fault.Refused, ""},
		"another time":       {event.ErrTime, fault.Refused, ""},
		"anything else":      {secret, fault.Internal, "the hub failed at this; its log says more"},
	} {
		t.Run(what, func(t *testing.T) {
			b := startBus(t)
			log := b.offer(verb(func(context.Context, string, []byte) (any, error) { return nil, row.err }))
			err := api.Call(natstest.Within(t), b.connect("_INBOX_UALICE"), "hub.ALICE.test.do", echo{}, &echo{})
			sentence := row.sentence
			if sentence == "" {
				sentence = row.err.Error()
			}
			if fault.CodeOf(err) != row.code || err.Error() != sentence {
				t.Errorf("%q: %v; want %q: %s", fault.CodeOf(err), err, row.code, sentence)
			}
			own := row.code == fault.Internal || row.code == fault.Unavailable
			if logged := strings.Contains(log.String(), "request failed"); logged != own {
				t.Errorf("logged: %s", log)
			}
			if own && errors.Is(row.err, secret) && !strings.Contains(log.String(), secret.Error()) {
				t.Errorf("the cause is not in the log: %s", log)
			}
			if strings.Contains(log.String(), "ALICE") {
				t.Errorf("the log names the caller: %s", log)
			}
		})
	}
}

func TestTheLogDoesNotNameTheCaller(t *testing.T) {
	b := startBus(t)
	s := verb(func(context.Context, string, []byte) (any, error) { return nil, io.EOF })
	s.Prefix = "admission.*"
	log := b.offer(s)
	if err := api.Call(natstest.Within(t), b.connect("_INBOX_UALICE"), "admission.UALICE.do", echo{}, &echo{}); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
	if strings.Contains(log.String(), "ALICE") {
		t.Errorf("%s", log)
	}
}

func TestAPanicIsOneFailedRequest(t *testing.T) {
	b := startBus(t)
	log := b.offer(verb(func(_ context.Context, _ string, data []byte) (any, error) {
		if strings.Contains(string(data), "boom") {
			panic("a defect")
		}
		return echo{}, nil
	}))
	nc := b.connect("_INBOX_UALICE")
	for range 3 {
		err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{Text: "boom"}, &echo{})
		if !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "defect") {
			t.Errorf("%v", err)
		}
	}
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{}, &echo{}); err != nil {
		t.Errorf("the next: %v", err)
	}
	if !strings.Contains(log.String(), "a defect") {
		t.Errorf("logged %s", log)
	}
}

func TestManyRequestsFailAtOnce(t *testing.T) {
	b := startBus(t)
	b.offer(verb(func(context.Context, string, []byte) (any, error) { return nil, fault.New(fault.Refused, "no") }))
	nc := b.connect("_INBOX_UALICE")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 150 {
				if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{}, &echo{}); !fault.Is(err, fault.Refused) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	callers.Wait()
}

func TestAnAnswerThatCannotBeSentIsAFailure(t *testing.T) {
	b := startBus(t)
	for what, answer := range map[string]any{
		"number": math.NaN(), "year": time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC), "size": strings.Repeat("x", 2<<20),
	} {
		s := verb(func(context.Context, string, []byte) (any, error) { return answer, nil })
		s.Name = what
		log := b.offer(s)
		err := api.CallWithin(natstest.Within(t), time.Second, b.connect("_INBOX_UALICE"), "hub.ALICE."+what+".do", echo{}, new(any))
		if !fault.Is(err, fault.Internal) || !strings.Contains(log.String(), "request failed") {
			t.Errorf("%s: %v; logged %q", what, err, log)
		}
	}
}

// TestAnAnswerGoesOnlyWhereTheCallerMayBe: an answer has the service's rights. Asked with
// another reply subject, the service must not even begin.
func TestAnAnswerGoesOnlyWhereTheCallerMayBe(t *testing.T) {
	own := "_INBOX_UALICE.x"
	for _, row := range []struct {
		rule     string
		reply    func(caller, reply string) bool
		answered []string
		dropped  []string
	}{
		{
			"imported", nil, nil, // see TestAnImportersAnswerComesThroughTheImport
			[]string{own, "_INBOX.x", "_R_", "_R_x.y", "x._R_.y", "$JS.API.STREAM.DELETE.LEDGER", "ledger.hub", "hub.ALICE.people.find"},
		},
		{
			"own inbox", api.OwnInbox,
			[]string{own, "_INBOX_UALICE.a.b"},
			[]string{"_INBOX_UALICE", "_INBOX_UALICEX.x", "_INBOX_UBOB.x", "_INBOX.x", "_R_x.y", "$JS.API.STREAM.DELETE.LEDGER"},
		},
		{
			"any inbox", api.AnyInbox,
			[]string{own, "_INBOX_UBOB.x"},
			[]string{"_INBOX.x", "_R_x.y", "$JS.API.STREAM.DELETE.LEDGER", "_INBOX_A.x", "ledger.hub"},
		},
	} {
		t.Run(row.rule, func(t *testing.T) {
			b := startBus(t)
			asked := make(chan string, 100)
			s := verb(func(_ context.Context, _ string, data []byte) (any, error) {
				asked <- string(data)
				return echo{}, nil
			})
			s.Reply = row.reply
			log := b.offer(s)
			nc := b.connect("_INBOX_UALICE")
			for i, reply := range append(row.dropped, row.answered...) {
				sub, err := nc.SubscribeSync(reply)
				if err != nil {
					t.Fatal(err)
				}
				if err := nc.PublishRequest("hub.UALICE.test.do", reply, fmt.Appendf(nil, "%d", i)); err != nil {
					t.Fatal(err)
				}
				if i < len(row.dropped) {
					natstest.Eventually(t, reply+" is dropped", func() bool {
						return strings.Count(log.String(), "foreign reply subject dropped") > i
					})
				} else if _, err := sub.NextMsg(natstest.Patience); err != nil {
					t.Errorf("%s: %v", reply, err)
				}
				if n, _, err := sub.Pending(); err != nil || n != 0 {
					t.Errorf("%s: %d answers, %v", reply, n, err)
				}
			}
			if len(asked) != len(row.answered) {
				t.Errorf("it began %d requests", len(asked))
			}
		})
	}
}

// TestAnImportersAnswerComesThroughTheImport: the server makes a subject of its own for the
// answer, and where it goes in the importer's account is the importer's business.
func TestAnImportersAnswerComesThroughTheImport(t *testing.T) {
	hub, member := natsserver.NewAccount("HUB"), natsserver.NewAccount("MEMBER")
	s := natstest.Start(t, &natsserver.Options{
		Accounts: []*natsserver.Account{hub, member},
		Users:    []*natsserver.User{{Username: "hub", Password: "p", Account: hub}, {Username: "member", Password: "p", Account: member}},
	})
	var err error
	if hub, err = s.LookupAccount("HUB"); err != nil { // the server made copies
		t.Fatal(err)
	}
	if member, err = s.LookupAccount("MEMBER"); err != nil {
		t.Fatal(err)
	}
	if err := hub.AddServiceExport("hub.UALICE.test.do", nil); err != nil {
		t.Fatal(err)
	}
	if err := member.AddServiceImport(hub, "hub.test.do", "hub.UALICE.test.do"); err != nil {
		t.Fatal(err)
	}
	b := &bus{t, s}
	connect := func(user string) *nats.Conn {
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, "p"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	b.offerOn(connect("hub"), api.Service{Name: "test", Verbs: map[string]api.Handler{"do": echoes}})
	var answer echo
	if err := api.Call(natstest.Within(t), connect("member"), "hub.test.do", echo{Text: "hello"}, &answer); err != nil {
		t.Fatal(err)
	}
	if want := (echo{"UALICE", "hello"}); answer != want {
		t.Errorf("%+v, want %+v", answer, want)
	}
	if err := api.CallWithin(natstest.Within(t), 100*time.Millisecond, connect("hub"), "hub.UALICE.test.do", echo{}, &answer); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without the import: %v", err)
	}
}

func TestAServiceFinishesWhatItBegan(t *testing.T) {
	b := startBus(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	nc := b.connect("_INBOX_UHUB")
	wait, err := api.Serve(ctx, nc, verb(func(ctx context.Context, _ string, _ []byte) (any, error) {
		close(begun)
		<-finish
		return echo{Text: fmt.Sprint(ctx.Err())}, nil
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	var answer echo
	caller := b.connect("_INBOX_UALICE")
	go func() { answered <- api.Call(natstest.Within(t), caller, "hub.ALICE.test.do", echo{}, &answer) }()
	<-begun
	cancel()
	waited := make(chan struct{})
	go func() {
		wait()
		close(waited)
	}()
	select {
	case <-waited:
		t.Error("it did not wait for the request")
	default:
	}
	close(finish)
	<-waited
	if err := <-answered; err != nil || answer.Text != "<nil>" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestAServiceNeedsAConnection(t *testing.T) {
	b := startBus(t)
	nc := b.connect("_INBOX_UHUB")
	nc.Close()
	if _, err := api.Serve(t.Context(), nc, verb(echoes), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it is offered on a closed connection")
	}
	bad := verb(echoes)
	bad.Name = "no name"
	if _, err := api.Serve(t.Context(), b.connect("_INBOX_UHUB"), bad, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it is offered under a name that is none")
	}
}

func TestACallThatIsNotAnsweredIsUnavailable(t *testing.T) {
	b := startBus(t)
	nc := b.connect("_INBOX_UALICE")
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{}, &echo{}); !fault.Is(err, fault.Unavailable) || !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody there: %v", err)
	}
	silent, err := b.connect("_INBOX_UHUB").SubscribeSync("silent")
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "somebody is silent", func() bool { return b.server.NumSubscriptions() > 0 && silent.IsValid() })
	if err := api.CallWithin(natstest.Within(t), 20*time.Millisecond, nc, "silent", echo{}, &echo{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no answer: %v", err)
	}
	garbled := b.connect("_INBOX_UHUB")
	if _, err := garbled.Subscribe("garbled", func(msg *nats.Msg) { _ = msg.Respond([]byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if err := garbled.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	if err := api.Call(natstest.Within(t), nc, "garbled", echo{}, &echo{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an answer that is none: %v", err)
	}
	if err := api.Call(natstest.Within(t), nc, "garbled", math.NaN(), &echo{}); err == nil {
		t.Error("a question that is none was asked")
	}
	nc.Close()
	if err := api.Call(natstest.Within(t), nc, "hub.ALICE.test.do", echo{}, &echo{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no connection: %v", err)
	}
}

func TestARequestIsJSON(t *testing.T) {
	if got, err := api.Decode[echo]([]byte(`{"text":"x","more":1}`)); err != nil || got.Text != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := api.Decode[echo](nil); err != nil || *got != (echo{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, data := range []string{"{", "[]", `"x"`, `{"text":1}`, "{} {}"} {
		if _, err := api.Decode[echo]([]byte(data)); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestAnEventIsAppendedByItsAuthorAndNow(t *testing.T) {
	author, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	at := func(when time.Time, until time.Time) []byte {
		t.Helper()
		ev := &event.Event{Author: author.Public(), Type: "a", Subject: "a", Time: when, NotAfter: until}
		if err := ev.Sign(device); err != nil {
			t.Fatal(err)
		}
		return ev.Encode()
	}
	now := time.Now()
	if ev, err := api.DecodeEvent(author.String(), at(now, time.Time{})); err != nil || ev.Author != author.Public() {
		t.Errorf("%+v, %v", ev, err)
	}
	for what, row := range map[string]struct {
		caller string
		data   []byte
		want   error
	}{
		"another caller":        {trust.NewKeyPair(trust.Account).String(), at(now, time.Time{}), chain.ErrRefused},
		"no caller":             {"", at(now, time.Time{}), chain.ErrRefused},
		"from the future":       {author.String(), at(now.Add(time.Hour), time.Time{}), event.ErrTime},
		"from the past":         {author.String(), at(now.Add(-time.Hour), time.Time{}), event.ErrTime},
		"to be acted on before": {author.String(), at(now, now.Add(-time.Minute)), event.ErrTime},
		"no event":              {author.String(), []byte("x"), event.ErrMalformed},
	} {
		if _, err := api.DecodeEvent(row.caller, row.data); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestErrorsTravelAsTheProtocolSays(t *testing.T) {
	b := startBus(t)
	b.offer(verb(func(context.Context, string, []byte) (any, error) {
		return nil, fault.Wrap(fault.Taken, io.EOF, "the handle is taken")
	}))
	msg, err := b.connect("_INBOX_UALICE").Request("hub.ALICE.test.do", nil, natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.Get(micro.ErrorCodeHeader) != "taken" || msg.Header.Get(micro.ErrorHeader) != "the handle is taken" || len(msg.Data) != 0 {
		t.Errorf("%v %q", msg.Header, msg.Data)
	}
}
