package event_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestRequestsAreAnsweredToWhoSignedThem(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	got := o.greets(nil)
	for _, form := range []event.Form{event.Headers, event.Compact} {
		for name, c := range map[string]*clerk{"joe": o.joe, "pam": o.pam} {
			r := o.requesterWith(c, event.RequesterOptions{Answerers: event.Devices(o.greeter.device.String()), Form: form})
			answer := o.greeted(r, "hello "+name)
			asked := got.next()
			if answer.Cause != asked.Hash() || asked.Device != c.device.Public() || answer.Subject != event.ReplySubject(asked.Event) {
				t.Errorf("%s: the answer %+v is not that to %+v", name, answer.Event, asked.Event)
			}
			if !strings.HasPrefix(answer.Subject, trust.InboxPrefix(c.device.Public())+".") {
				t.Errorf("%s is answered on %s", name, answer.Subject)
			}
		}
	}
}

func TestAskersLearnOfARefusalWhatTheResponderSays(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	secret := errors.New("the password of the database is xyzzy")
	var next error
	got := o.greets(func(context.Context, *event.Received) ([]byte, error) { return nil, next })
	ask := func() *event.Refusal {
		t.Helper()
		_, err := o.requester(o.joe, nil).Request(natstest.Within(t), "services.greet", nil)
		var refusal *event.Refusal
		if !errors.As(err, &refusal) || refusal.Answer.Access.Name != "greeter" {
			t.Fatalf("%v", err)
		}
		<-got.received
		return refusal
	}
	next = &event.Refusal{Reason: "not on\nSundays"}
	if refusal := ask(); refusal.Reason != "not on Sundays" {
		t.Errorf("%q", refusal.Reason)
	}
	next = secret
	if refusal := ask(); strings.Contains(refusal.Reason, "xyzzy") {
		t.Errorf("%q", refusal.Reason)
	}
	got.refused(secret)
}

func TestNobodyListensIsSaidAtOnce(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	if _, err := o.requester(o.joe, nil).Request(t.Context(), "services.greet", nil); !errors.Is(err, event.ErrNoResponder) || !errors.Is(err, event.ErrNoAnswer) {
		t.Errorf("%v", err)
	}
}

func TestARequesterSaysWhoMayAnswer(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	if _, err := event.NewRequester(o.joe.nc, o.joe.m, event.RequesterOptions{}); !errors.Is(err, event.ErrUntrusted) {
		t.Errorf("%v", err)
	}
	o.greets(nil)
	r := o.requester(o.joe, nil)
	o.greeted(r, "hello joe")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Request(natstest.Within(t), "services.greet", nil); err == nil {
		t.Error("a requester that was closed asks")
	}
	if _, err := o.requester(o.pam, nil).Request(natstest.Within(t), "services.greet", nil, event.Type("order")); !errors.Is(err, event.ErrNotMeant) {
		t.Errorf("a request of the type of none: %v", err)
	}
}

// What is refused here is real: a responder that believes the reply subject delivers into
// anybody's inbox, with rights that mallory may not have.
func TestAForgedReplySubjectReachesInboxesWithoutThisPackage(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	if _, err := o.greeter.nc.Subscribe("services.greet", func(msg *nats.Msg) { _ = msg.Respond([]byte("hello")) }); err != nil {
		t.Fatal(err)
	}
	if err := o.greeter.nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	inbox := trust.InboxPrefix(o.joe.device.Public()) + ".forged"
	victim, err := o.joe.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.joe.nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	o.sends(&nats.Msg{Subject: "services.greet", Reply: inbox})
	if msg := o.heard(victim); string(msg.Data) != "hello" {
		t.Errorf("%q", msg.Data)
	}
}

func TestAForgedReplySubjectIsRefused(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{JetStream: true})
	js, err := jetstream.New(o.mallory.nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(natstest.Within(t), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}}); err != nil {
		t.Fatal(err)
	}
	got := o.greets(nil)
	all := o.overhears(">")
	joes := o.request(o.joe, "")
	mallorys := trust.InboxPrefix(o.mallory.device.Public())
	replies := map[string]*nats.Msg{
		"her request, joe's inbox":            o.request(o.mallory, trust.InboxPrefix(o.joe.device.Public())+".event.x"),
		"her request, joe's pending one":      o.request(o.mallory, o.request(o.joe, "").Reply),
		"joe's request, her inbox":            o.request(o.joe, mallorys+".event.x"),
		"joe's request, another of his":       o.request(o.joe, trust.InboxPrefix(o.joe.device.Public())+".other"),
		"joe's request, below its own":        o.request(o.joe, joes.Reply+".more"),
		"the reply subject of a service":      o.request(o.mallory, "services.pay"),
		"JetStream's API":                     o.request(o.mallory, "$JS.API.STREAM.DELETE.KEPT"),
		"the system's API":                    o.request(o.mallory, "$SYS.REQ.ACCOUNT.PING.CONNZ"),
		"the shared inbox":                    o.request(o.mallory, "_INBOX.x.y"),
		"her own inbox, not by the request":   o.request(o.mallory, mallorys+".event.x"),
		"her own inbox, in capitals":          o.request(o.mallory, ""),
		"none":                                o.request(o.mallory, ""),
		"what a service import looks like":    o.request(o.mallory, "_R_.abc.def"),
		"a wildcard":                          o.request(o.mallory, mallorys+".event.*"),
		"the reply subject of another device": o.request(o.mallory, trust.InboxPrefix(o.pam.device.Public())+joes.Reply[strings.LastIndex(joes.Reply, ".event."):]),
	}
	replies["her own inbox, in capitals"].Reply = strings.ToUpper(replies["her own inbox, in capitals"].Reply)
	replies["none"].Reply = ""
	for name, msg := range replies {
		t.Run(name, func(t *testing.T) {
			o.sends(msg)
			if strings.HasPrefix(msg.Reply, "_R_.") {
				return // the server refuses it: the next request is the next that comes
			}
			if f := got.refused(event.ErrReply); f.Event == nil || !f.Final {
				t.Errorf("%+v", f)
			}
		})
	}
	// The control: as she signed it, where she signed it, she has her answer; and no genuine
	// request of joe's lost its place.
	genuine := o.request(o.mallory, "")
	for _, msg := range []*nats.Msg{genuine, joes} {
		o.sends(msg)
		got.next()
	}
	var answered []string
	for !slices.Contains(answered, joes.Reply) {
		if msg := o.heard(all); !strings.HasPrefix(msg.Subject, "services.greet") && !strings.HasPrefix(msg.Subject, "$JS.") {
			answered = append(answered, msg.Subject)
		}
	}
	if !slices.Equal(answered, []string{genuine.Reply, joes.Reply}) {
		t.Errorf("the greeter answered on %v", answered)
	}
	if _, err := js.Stream(natstest.Within(t), "KEPT"); err != nil {
		t.Errorf("the stream: %v", err)
	}
}

func TestARequestOfNobodyBelievedIsRefused(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	got := o.greets(nil)
	stranger := &clerk{device: trust.NewKeyPair(trust.Device)}
	var err error
	if stranger.access, err = jwt.NewUserClaims(stranger.device.String()).Encode(trust.NewKeyPair(trust.Account).NKey()); err != nil {
		t.Fatal(err)
	}
	stranger.m = o.manager(stranger)

	o.sends(o.request(stranger, ""))
	got.refused(event.ErrUntrusted)

	changed := o.request(o.joe, "")
	changed.Data = []byte("bye")
	o.sends(changed)
	got.refused(event.ErrBody)

	// Joe's request, signed again by mallory: it is hers, or nobody's.
	author, err := trust.ParsePublicKey(trust.Account, o.APP1.ID)
	if err != nil {
		t.Fatal(err)
	}
	resigned := &event.Event{
		Author: author, Type: "request", Subject: "services.greet", Body: []byte("hi"),
	}
	if err := resigned.Sign(o.mallory.device); err != nil {
		t.Fatal(err)
	}
	msg := (&event.Envelope{Event: resigned, Access: o.joe.access}).Msg(event.Headers)
	msg.Reply = event.ReplySubject(resigned)
	o.sends(msg)
	got.refused(event.ErrAccess)

	// Or hers, with his device in it.
	resigned.Device = o.joe.device.Public()
	forged := (&event.Envelope{Event: resigned, Access: o.joe.access}).Msg(event.Headers)
	forged.Reply = event.ReplySubject(resigned)
	o.sends(forged)
	got.refused(event.ErrSignature)

	// Joe said something there, and asked nothing.
	said, err := o.joe.m.Issue(&event.Event{Type: "greeting", Subject: "services.greet"})
	if err != nil {
		t.Fatal(err)
	}
	statement := said.Msg(event.Headers)
	statement.Reply = event.ReplySubject(said.Event)
	o.sends(statement)
	got.refused(event.ErrNotMeant)

	o.sends(&nats.Msg{Subject: "services.greet", Reply: "_INBOX_x.y", Data: []byte("hi")})
	got.refused(event.ErrMalformed)

	o.greeted(o.requester(o.joe, nil), "hello joe")
}

func TestARequestIsAnsweredOnce(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{JetStream: true})
	got := o.greets(nil)
	wire := o.overhears("services.greet")
	tell := newInbox(t)
	r := o.requester(o.joe, tell)
	o.greeted(r, "hello joe")
	got.next()
	o.sends(o.heard(wire))
	got.refused(event.ErrReplay)
	o.greeted(r, "hello joe")

	// Several that share a queue take it once if they share a memory.
	js, err := jetstream.New(o.mallory.nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(natstest.Within(t), jetstream.KeyValueConfig{Bucket: "seen"})
	if err != nil {
		t.Fatal(err)
	}
	shared := newInbox(t)
	for range 2 {
		responder := event.NewResponder(o.mallory.nc, o.mallory.m, event.ResponderOptions{Failed: shared.fail, Memory: event.SeenBucket{KV: kv}})
		if _, err := responder.Respond(t.Context(), "services.pay", "", func(_ context.Context, r *event.Received) ([]byte, error) {
			shared.received <- r
			return []byte("paid"), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	pays := o.requesterWith(o.joe, event.RequesterOptions{Answerers: event.Named("mallory")})
	if answer, err := pays.Request(natstest.Within(t), "services.pay", nil); err != nil || string(answer.Data) != "paid" {
		t.Fatalf("%v", err)
	}
	<-shared.received
	shared.refused(event.ErrReplay)
}

func TestAForgedAnswerIsNone(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	hold := make(chan bool)
	got := o.greets(func(ctx context.Context, r *event.Received) ([]byte, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return []byte("hello " + r.Access.Name), nil
	})
	tell := newInbox(t)
	r := o.requester(o.joe, tell)
	wire := o.overhears("services.greet")
	inboxes := o.overhears(trust.InboxPrefix(o.joe.device.Public()) + ".>")
	done := make(chan *event.Received, 1)
	ask := func() {
		go func() {
			answer, err := r.Request(natstest.Within(t), "services.greet", nil)
			if err != nil {
				t.Error(err)
			}
			done <- answer
		}()
	}
	concluded := func(asked *event.Received) {
		t.Helper()
		hold <- true
		answer := <-done
		if answer == nil || string(answer.Data) != "hello joe" || answer.Cause != asked.Hash() {
			t.Fatalf("%+v", answer)
		}
	}
	// Mallory hears the request and can publish into the inbox: she is faster than the greeter.
	ask()
	asked := got.next()
	request := o.heard(wire)
	v, err := event.ReadMsg(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := func(by *clerk, subject string, change func(*event.Event)) *nats.Msg {
		t.Helper()
		received, err := by.m.Receive(t.Context(), v, event.Moment{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		draft := &event.Envelope{Event: &event.Event{Type: "answer", Subject: subject, Body: []byte("hello joe, send me your keys")}}
		event.From(received)(draft)
		if change != nil {
			change(draft.Event)
		}
		issued, err := by.m.Issue(draft.Event)
		if err != nil {
			t.Fatal(err)
		}
		issued.Trail = draft.Trail
		return issued.Msg(event.Headers)
	}
	forge := func(msg *nats.Msg, want error) {
		t.Helper()
		o.sends(msg)
		tell.refused(want)
	}
	forge(answers(o.mallory, request.Reply, nil), event.ErrUntrusted)
	forge(answers(o.pam, request.Reply, nil), event.ErrUntrusted)
	forge(answers(o.mallory, request.Reply, func(e *event.Event) { e.Type = "answer.refused" }), event.ErrUntrusted)
	forge(&nats.Msg{Subject: request.Reply, Data: []byte("hello joe")}, event.ErrMalformed)
	posing := answers(o.mallory, request.Reply, nil)
	posing.Header.Set("Keyhall-Access", o.greeter.access)
	forge(posing, event.ErrAccess)
	// The greeter's own words, but with another past, not an answer, or not there.
	other, err := o.pam.m.Issue(&event.Event{Type: "request", Subject: "services.greet"})
	if err != nil {
		t.Fatal(err)
	}
	v, other = other, v
	strange := answers(o.greeter, request.Reply, nil).Header.Get("Keyhall-Trail")
	v = other
	swapped := answers(o.greeter, request.Reply, nil)
	swapped.Header.Set("Keyhall-Trail", strange)
	forge(swapped, event.ErrTrail)
	forge(answers(o.greeter, request.Reply, func(e *event.Event) { e.Type = "greeting" }), event.ErrNotMeant)
	forge(answers(o.greeter, request.Reply, func(e *event.Event) { e.NotAfter = time.Now().Add(-time.Second) }), event.ErrTime)
	elsewhere := answers(o.greeter, "services.other", nil)
	elsewhere.Subject = request.Reply
	forge(elsewhere, event.ErrNotMeant)
	forge(&nats.Msg{Subject: strings.Replace(request.Reply, ".event.", ".event.x", 1)}, event.ErrNotMeant)
	concluded(asked)
	genuine := o.heard(inboxes)
	for string(genuine.Data) != "hello joe" || genuine.Header == nil {
		genuine = o.heard(inboxes)
	}

	// What the greeter answered is no answer to the next request, and none twice.
	o.sends(genuine)
	tell.refused(event.ErrNotMeant)
	ask()
	asked = got.next()
	genuine.Subject = event.ReplySubject(asked.Event)
	forge(genuine, event.ErrNotMeant)
	concluded(asked)
}

func TestALateAnswerIsNone(t *testing.T) {
	o := openOffice(t, natstest.CompanyOptions{})
	hold := make(chan bool)
	got := o.greets(func(_ context.Context, r *event.Received) ([]byte, error) {
		<-hold
		return []byte("hello " + r.Access.Name), nil
	})
	tell := newInbox(t)
	r := o.requester(o.joe, tell)
	ctx, cancel := context.WithCancel(natstest.Within(t))
	done := make(chan error, 1)
	go func() {
		_, err := r.Request(ctx, "services.greet", nil)
		done <- err
	}()
	got.next()
	cancel()
	if err := <-done; !errors.Is(err, event.ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(hold)
	tell.refused(event.ErrNotMeant)
	o.greeted(r, "hello joe")
}

// A service that is asked by another account answers there alone, and says so.
func TestRequestsOfAnotherAccount(t *testing.T) {
	var app1 string
	o := openOffice(t, natstest.CompanyOptions{Account: func(name string, claims *jwt.AccountClaims) {
		switch name {
		case "APP1":
			app1 = claims.Subject
			claims.Exports.Add(&jwt.Export{Name: "greet", Subject: "services.greet", Type: jwt.Service})
		case "APP2":
			claims.Imports.Add(&jwt.Import{Name: "greet", Account: app1, Subject: "services.greet", Type: jwt.Service})
		}
	}})
	bob := o.hire(o.APP2, "bob", asks)
	got := newInbox(t)
	serve := func(imported bool) *nats.Subscription {
		t.Helper()
		r := event.NewResponder(o.greeter.nc, o.greeter.m, event.ResponderOptions{Failed: got.fail, Imported: imported})
		sub, err := r.Respond(t.Context(), "services.greet", "greeters", func(_ context.Context, r *event.Received) ([]byte, error) {
			return []byte("hello " + r.Access.Name), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	sub := serve(false)
	asks := o.requesterWith(bob, event.RequesterOptions{Answerers: event.Named("greeter"), Imported: true})
	ctx, cancel := context.WithCancel(natstest.Within(t))
	done := make(chan error, 1)
	go func() {
		_, err := asks.Request(ctx, "services.greet", nil)
		done <- err
	}()
	got.refused(event.ErrReply)
	cancel()
	if err := <-done; !errors.Is(err, event.ErrNoAnswer) {
		t.Errorf("a service that is for its own account alone: %v", err)
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	serve(true)
	o.greeted(asks, "hello bob")
	o.greeted(o.requester(o.joe, nil), "hello joe")

	tell := newInbox(t)
	home := o.requesterWith(bob, event.RequesterOptions{Answerers: event.Named("greeter"), Failed: tell.fail})
	ctx, cancel = context.WithCancel(natstest.Within(t))
	defer cancel()
	go func() {
		_, err := home.Request(ctx, "services.greet", nil)
		done <- err
	}()
	tell.refused(event.ErrNotMeant)
	cancel()
	if err := <-done; !errors.Is(err, event.ErrNoAnswer) {
		t.Errorf("an answer from another account, which bob did not ask: %v", err)
	}
}
