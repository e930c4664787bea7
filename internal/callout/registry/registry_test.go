package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestARevocationClosesExactlyOnesConnectionsOnEveryServer(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers, " servers"), func(t *testing.T) {
			t.Parallel()
			h := start(t, servers)
			one, two := h.callout(false), h.callout(false)
			var hers, theirs []*nats.Conn
			for i := range 2 * servers {
				hers = append(hers, h.mustLogin("alice", i%servers))
				theirs = append(theirs, h.mustLogin("bob", i%servers), h.mustLogin("carol", i%servers))
			}
			// Each replica comes to know what the other one let in.
			want := idsOf(t, append(slices.Clone(hers), theirs...)...)
			for _, r := range []*replica{one, two} {
				natstest.Eventually(t, "a replica knows every connection", func() bool { return slices.Equal(r.ids(), want) })
			}
			ofHers := idsOf(t, hers...)
			if got := h.revoke(registry.RevokeRequest{Name: "alice", Why: "a test"}); !slices.Equal(got, ofHers) {
				t.Errorf("closed %v", got)
			}
			goneSoon(t, hers...)
			alive(t, "carol.x", theirs...)
			rest := idsOf(t, theirs...)
			for _, r := range []*replica{one, two} {
				natstest.Eventually(t, "a replica knows who is left", func() bool { return slices.Equal(r.ids(), rest) })
			}
			// One connection alone.
			alone := idOf(t, theirs[0])
			if got := h.revoke(registry.RevokeRequest{Session: alone}); !slices.Equal(got, []string{alone}) {
				t.Errorf("closed %v", got)
			}
			goneSoon(t, theirs[0])
			alive(t, "carol.x", theirs[1:]...)
			h.mustLogin("alice", 0) // nothing was denied to her
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.closed) == 0 || h.closed[0].By != "host" || h.closed[0].Why != "a test" || h.closed[0].Name != "alice" {
				t.Errorf("written down: %+v", h.closed)
			}
		})
	}
}

func TestADeniedNameStaysOutOfEveryReplicaAndOverARestart(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	one, two := h.callout(false), h.callout(false)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0)
	h.revoke(registry.RevokeRequest{Name: "alice", Seconds: 3600})
	goneSoon(t, alice)
	out := func() {
		t.Helper()
		for range 6 { // whichever replica is asked
			if nc, err := h.login("alice", 0); err == nil {
				nc.Close()
				t.Fatal("a denied name is let in")
			}
		}
		h.mustLogin("bob", 0)
	}
	out()
	one.end()
	out()
	two.end()
	three := h.callout(false)
	out()
	if three.Denied("alice").IsZero() || !three.Denied("bob").IsZero() {
		t.Error("who is denied is not kept")
	}
	alive(t, "x", bob)
}

func TestADenialEnds(t *testing.T) {
	t.Parallel()
	r := registry.New(nil)
	r.Deny("alice", time.Now().Add(time.Hour))
	r.Deny("alice", time.Now().Add(time.Minute)) // a shorter one does not shorten it
	if until := r.Denied("alice"); time.Until(until) < 30*time.Minute {
		t.Error(until)
	}
	r.Deny("bob", time.Now().Add(-time.Second))
	if until := r.Denied("bob"); !until.IsZero() {
		t.Error(until)
	}
}

// A right that ends while a login is being judged is seen by one side or the other.
func TestALoginInFlightDoesNotOutliveTheRuleItWasJudgedBy(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	var once sync.Once
	judged, goOn := make(chan struct{}), make(chan struct{})
	before := h.people
	before.judging = func(name string) { // the old rules have said yes, and the answer is not out
		if name == "alice" {
			once.Do(func() { close(judged); <-goOn })
		}
	}
	now := before.with(map[string][]string{"bob": {">"}})
	r := h.calloutOf(before, false)
	bob := h.mustLogin("bob", 0)
	entered := make(chan error, 1)
	go func() {
		_, err := h.login("alice", 0)
		entered <- err
	}()
	<-judged
	if err := r.engine.Replace([]callout.Backend{r.Guard(now)}); err != nil {
		t.Fatal(err)
	}
	if err := r.RulesChanged(natstest.Within(t), []callout.Backend{before}, []callout.Backend{now}); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := <-entered; err == nil {
		t.Error("judged by rules that were not so any more, and let in")
	}
	if _, err := h.login("alice", 0); err == nil {
		t.Error("let in by rules that know nobody of the name")
	}
	alive(t, "x", bob)
	h.mustLogin("bob", 0)
}

// A denial that comes while a login is being judged is seen too.
func TestALoginInFlightDoesNotPassADenial(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	judged, goOn := make(chan struct{}), make(chan struct{})
	h.people.judging = func(name string) {
		if name == "alice" {
			close(judged)
			<-goOn
		}
	}
	h.callout(false)
	entered := make(chan error, 1)
	go func() {
		_, err := h.login("alice", 0)
		entered <- err
	}()
	<-judged
	h.revoke(registry.RevokeRequest{Name: "alice", Seconds: 60})
	close(goOn)
	if err := <-entered; err == nil {
		t.Error("a denied name is let in")
	}
}

// The connection itself, while its login is being judged, can be closed.
func TestAConnectionThatIsBeingMadeIsClosedBySession(t *testing.T) {
	t.Parallel()
	for name, blind := range map[string]bool{"kicked": false, "refused, where nothing can be kicked": true} {
		t.Run(name, func(t *testing.T) { closeWhileJudged(t, blind) })
	}
}

func closeWhileJudged(t *testing.T, blind bool) {
	h := start(t, 1)
	judged, goOn := make(chan string), make(chan struct{})
	backend := &asking{people: h.people, judged: judged, goOn: goOn}
	h.calloutOf(backend, blind)
	entered := make(chan error, 1)
	go func() {
		_, err := h.login("alice", 0)
		entered <- err
	}()
	session := <-judged
	if got := h.revoke(registry.RevokeRequest{Session: session}); !blind && !slices.Equal(got, []string{session}) {
		t.Errorf("closed %v", got)
	}
	close(goOn)
	if err := <-entered; err == nil {
		t.Error("let in on a connection that was closed")
	}
}

// asking tells of the connection that it judges, and waits.
type asking struct {
	*people
	judged chan<- string
	goOn   <-chan struct{}
}

func (a *asking) Authorize(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	c := registry.Connection{Server: request.Server.ID, Client: request.Client.ID}
	a.judged <- c.ID()
	<-a.goOn
	return a.people.Authorize(ctx, request)
}

func TestChangedRulesCloseWhoHasMoreThanTheyGive(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	h.people.rules = map[string][]string{"gone": {"x.>"}, "less": {"x.>", "y"}, "more": {"x.a"}, "same": {"x.*"}, "wider": {"x.a.b"}}
	r := h.callout(false)
	conns := make(map[string]*nats.Conn)
	for name := range h.people.rules {
		conns[name] = h.mustLogin(name, 0)
	}
	now := h.people.with(map[string][]string{"less": {"x.>"}, "more": {"x.a", "y.>"}, "same": {"x.*"}, "wider": {"x.*.b"}})
	if err := r.RulesChanged(natstest.Within(t), []callout.Backend{h.people}, []callout.Backend{now}); err != nil {
		t.Fatal(err)
	}
	goneSoon(t, conns["gone"], conns["less"])
	for name, subject := range map[string]string{"more": "x.a", "same": "x.q", "wider": "x.a.b"} {
		alive(t, subject, conns[name])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.closed) != 1 || h.closed[0].By != "rules" || len(h.closed[0].Closed) != 2 {
		t.Errorf("written down: %+v", h.closed)
	}
}

func TestACalloutThatCameBackKnowsWhoIsThere(t *testing.T) {
	t.Parallel()
	h := start(t, 3)
	before := h.callout(false)
	alice, bob := []*nats.Conn{h.mustLogin("alice", 0), h.mustLogin("alice", 2)}, h.mustLogin("bob", 1)
	before.end()
	after := h.callout(false)
	want := idsOf(t, append(slices.Clone(alice), bob)...)
	natstest.Eventually(t, "it knows everybody", func() bool { return slices.Equal(after.ids(), want) }) // servers may be slow to say
	for _, c := range after.List(nil) {
		if c.Name != "alice" && c.Name != "bob" || c.Host == "" || c.Since.IsZero() || c.Account != h.company.APP1.ID {
			t.Errorf("%+v", c)
		}
	}
	h.revoke(registry.RevokeRequest{Name: "alice"})
	goneSoon(t, alice...)
	alive(t, "x", bob)
}

func TestADisconnectIsForgottenAtOnceAndARefusalIsNeverKnown(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	r := h.callout(false)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0)
	if _, err := h.login("eve", 0); err == nil {
		t.Fatal("eve is let in")
	}
	natstest.Eventually(t, "two are known", func() bool { return r.Count() == 2 })
	alice.Close()
	natstest.Eventually(t, "one is left", func() bool { return slices.Equal(r.ids(), idsOf(t, bob)) })
}

func TestWithoutASystemUserNothingIsClosedAndItIsSaid(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	r := h.callout(true)
	alice := h.mustLogin("alice", 0)
	if r.Closes() || !slices.Equal(r.ids(), idsOf(t, alice)) {
		t.Errorf("closes %v, knows %v", r.Closes(), r.ids())
	}
	answers, err := registry.Revoke(natstest.Within(t), h.host(), registry.RevokeRequest{Name: "alice", Seconds: 60})
	if err != nil || len(answers) != 1 || answers[0].Closes || answers[0].Failed != 1 || answers[0].DeniedUntil == nil {
		t.Errorf("%+v, %v", answers, err)
	}
	alive(t, "x", alice)
	if _, err := h.login("alice", 0); err == nil {
		t.Error("a denied name is let in")
	}
	list, closes, err := registry.Sessions(natstest.Within(t), h.host(), registry.SessionsRequest{})
	if err != nil || closes || len(list) != 1 || list[0].Name != "alice" || list[0].Backend != "people" || list[0].Expires.IsZero() {
		t.Errorf("%+v %v, %v", list, closes, err)
	}
}

func TestSessionsAreListedOnceForAllReplicas(t *testing.T) {
	t.Parallel()
	h := start(t, 3)
	h.callout(false)
	h.callout(false)
	var conns []*nats.Conn
	for i := range 110 { // more than one message of them
		conns = append(conns, h.mustLogin("alice", i%3, nats.Name(fmt.Sprint("till ", i))))
	}
	bob := h.mustLogin("bob", 0)
	want := idsOf(t, append(conns, bob)...)
	natstest.Eventually(t, "all are listed, once", func() bool {
		list, closes, err := registry.Sessions(natstest.Within(t), h.host(), registry.SessionsRequest{})
		if err != nil || !closes {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.ID())
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	list, _, err := registry.Sessions(natstest.Within(t), h.host(), registry.SessionsRequest{Name: "bob"})
	if err != nil || len(list) != 1 || list[0].ID() != idOf(t, bob) {
		t.Errorf("%+v, %v", list, err)
	}
}

// A member, the sentinel and somebody who chooses where the answer goes are attackers.
func TestNobodyButTheHostReachesTheCommands(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	h.callout(false)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0)
	// alice may do everything in her account, and that is not where commands are heard.
	for _, subject := range []string{registry.RevokeSubject, registry.SessionsSubject, "$SYS.REQ.SERVER." + bob.ConnectedServerId() + ".KICK"} {
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if answer, err := alice.RequestWithContext(short, subject, []byte(`{"name":"bob","cid":1}`)); err == nil {
			t.Errorf("%s answers a member: %s", subject, answer.Data)
		}
		cancel()
	}
	host := h.host()
	// A member who hears everything in their account hears no answers.
	heard, err := alice.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	// An answer that would be a command, or go to another's inbox.
	for _, reply := range []string{registry.RevokeSubject, "_INBOX.x", "_INBOX_.x", "_INBOX_a", "_INBOX_a..b", "x", "$SYS.REQ.USER.AUTH"} {
		sub, err := host.SubscribeSync(">")
		if err != nil {
			t.Fatal(err)
		}
		if err := host.PublishRequest(registry.SessionsSubject, reply, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := registry.Sessions(natstest.Within(t), host, registry.SessionsRequest{}); err != nil { // later than the other
			t.Fatal(err)
		}
		for {
			message, err := sub.NextMsg(time.Millisecond)
			if err != nil {
				break
			}
			if message.Subject == reply {
				t.Errorf("an answer went to %s: %s", reply, message.Data)
			}
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if message, err := heard.NextMsg(time.Millisecond); err == nil && strings.Contains(string(message.Data), "replica") {
		t.Errorf("a member hears %s", message.Data)
	}
	alive(t, "x", bob)
}

func TestCommandsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	h.callout(false)
	alice, host := h.mustLogin("alice", 0), h.host()
	for _, request := range []registry.RevokeRequest{
		{},
		{Name: "alice", Session: "N/1"},
		{Session: "N"},
		{Session: "N/0"},
		{Session: "*/1"},
		{Session: "a.b/1"},
		{Session: "N/x"},
		{Name: "alice", Seconds: -1},
		{Name: "alice", Seconds: 1 << 40},
		{Session: "N/1", Seconds: 1},
		{Name: strings.Repeat("x", 300)},
		{Name: "alice", Why: strings.Repeat("x", 300)},
	} {
		if _, err := registry.Revoke(natstest.Within(t), host, request); !fault.Is(err, fault.Malformed) && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%+v: %v", request, err)
		}
	}
	for _, data := range []string{
		`{"name":"alice","sesion":"x"}`, `{"name":"alice"}{}`, `[]`, `x`, `{"name":1}`, `{"why":"` + strings.Repeat("x", 5000) + `"}`, ``,
	} {
		answer, err := host.RequestWithContext(natstest.Within(t), registry.RevokeSubject, []byte(data))
		if err != nil || !strings.Contains(string(answer.Data), `"error"`) {
			t.Errorf("%.40s: %s, %v", data, answer.Data, err)
		}
	}
	alive(t, "x", alice)
	// Nobody of that name is no error, and closes nobody.
	if got := h.revoke(registry.RevokeRequest{Name: "nobody"}); got != nil {
		t.Errorf("closed %v", got)
	}
}

// An auth user with the rights that docs/protocol/callout.md gives it, and no others.
func TestALimitedAuthUserIsEnough(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	limited := h.company.User(h.company.AUTH, "limited", func(claims *jwt.UserClaims) {
		claims.Permissions.Pub.Allow.Add("keyhall.callout.>")
		claims.Permissions.Sub.Allow.Add("$SYS.REQ.USER.AUTH", "keyhall.callout.>", "_INBOX_limited.>")
		claims.Permissions.Resp = &jwt.ResponsePermission{MaxMsgs: 64, Expires: time.Minute}
		h.company.Push(h.company.AUTH, func(account *jwt.AccountClaims) { account.Authorization.AuthUsers.Add(claims.Subject) })
	})
	auth := h.connect(limited, nats.CustomInboxPrefix("_INBOX_limited"))
	r := h.calloutOn(auth, h.people, false)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0)
	list, closes, err := registry.Sessions(natstest.Within(t), auth, registry.SessionsRequest{})
	if err != nil || !closes || len(list) != 2 {
		t.Errorf("%+v %v, %v", list, closes, err)
	}
	answers, err := registry.Revoke(natstest.Within(t), auth, registry.RevokeRequest{Name: "alice", Seconds: 60})
	if err != nil || len(answers) != 1 || len(answers[0].Closed) != 1 || answers[0].Kept != registry.KeptInMemory {
		t.Errorf("%+v, %v", answers, err)
	}
	goneSoon(t, alice)
	alive(t, "x", bob)
	if r.Denied("alice").IsZero() {
		t.Error("alice is not denied")
	}
}

func TestWithoutACalloutTheHostIsTold(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	if _, _, err := registry.Sessions(natstest.Within(t), h.host(), registry.SessionsRequest{}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// What an operator has made of the bucket of denied names, its copies for instance, stays.
func TestTheBucketOfDeniedNamesStaysAsItIs(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	js, err := jetstream.New(h.host())
	if err != nil {
		t.Fatal(err)
	}
	const mine = "kept as its operator wants it"
	if _, err := js.CreateKeyValue(natstest.Within(t), jetstream.KeyValueConfig{Bucket: registry.DeniedBucket, Description: mine}); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.OpenDenials(natstest.Within(t), h.host(), 1); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(natstest.Within(t), "KV_"+registry.DeniedBucket)
	if err != nil {
		t.Fatal(err)
	}
	if is := stream.CachedInfo().Config.Description; is != mine {
		t.Errorf("it is %q now", is)
	}
}

// A callout that starts while JetStream is away comes to know who is denied when it is back.
func TestWhoIsDeniedIsLearntWhenJetStreamIsBack(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	kept, err := registry.OpenDenials(natstest.Within(t), h.host(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Put(natstest.Within(t), "alice", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	limits := h.company.AUTH.Claims.Limits.JetStreamLimits
	h.company.Push(h.company.AUTH, func(claims *jwt.AccountClaims) { claims.Limits.JetStreamLimits = jwt.JetStreamLimits{} })
	r := h.callout(false)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0) // nobody can know better yet
	h.company.Push(h.company.AUTH, func(claims *jwt.AccountClaims) { claims.Limits.JetStreamLimits = limits })
	natstest.Eventually(t, "it knows who is denied", func() bool { return !r.Denied("alice").IsZero() })
	goneSoon(t, alice)
	if _, err := h.login("alice", 0); err == nil {
		t.Error("a denied name is let in")
	}
	alive(t, "x", bob)
	natstest.Eventually(t, "it keeps who is denied from now on", func() bool {
		answers, err := registry.Revoke(natstest.Within(t), h.host(), registry.RevokeRequest{Name: "bob", Seconds: 3600})
		return err == nil && len(answers) == 1 && answers[0].Kept == registry.KeptInBucket
	})
}

// What could not be closed is closed as soon as it can be.
func TestAConnectionThatCouldNotBeClosedIsClosedLater(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	creds := h.company.User(h.company.SYS, "registry", func(claims *jwt.UserClaims) {
		claims.Permissions.Pub.Allow.Add(registry.SystemPublishes...)
		claims.Permissions.Pub.Deny.Add("$SYS.REQ.SERVER.*.KICK")
		claims.Permissions.Sub.Allow.Add(registry.SystemSubscribes...)
		claims.Permissions.Sub.Allow.Add("_INBOX_registry.>")
	})
	system := h.connect(creds)
	r := h.calloutWith(h.connect(h.company.Path("auth.creds"), nats.CustomInboxPrefix("_INBOX_callout")), system, h.people)
	alice, bob := h.mustLogin("alice", 0), h.mustLogin("bob", 0)
	answers, err := registry.Revoke(natstest.Within(t), h.host(), registry.RevokeRequest{Name: "alice"})
	if err != nil && !fault.Is(err, fault.Unavailable) || len(answers) != 1 || answers[0].Failed != 1 {
		t.Fatalf("%+v, %v", answers, err)
	}
	alive(t, "x", alice)
	h.system() // from now on it may
	if err := system.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the connection is closed", func() bool {
		registry.ReconcileNow(r.Keeper)
		return alice.IsClosed()
	})
	alive(t, "x", bob)
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := h.closed[len(h.closed)-1]; last.Failed != 0 || len(last.Closed) != 1 {
		t.Errorf("written down: %+v", h.closed)
	}
}

// hidden are people of whom less is known by name than what they have: as of certificates with
// more names than one.
type hidden struct{ *people }

func (p hidden) Explain(ctx context.Context, query callout.Query) (*callout.Grant, error) {
	return p.with(map[string][]string{"alice": {"less"}}).Explain(ctx, query)
}

// A reload that changes nothing closes nobody of whom it is not plain what they get.
func TestWhoCannotBeJudgedByNameStaysOverAReload(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	backend := hidden{h.people}
	r := h.calloutOf(backend, false)
	alice := h.mustLogin("alice", 0)
	for range 2 {
		if err := r.RulesChanged(natstest.Within(t), []callout.Backend{backend}, []callout.Backend{backend}); err != nil {
			t.Fatal(err)
		}
	}
	alive(t, "x", alice)
}
