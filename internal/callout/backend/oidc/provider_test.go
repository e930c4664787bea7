package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestAProviderThatMisbehavesLetsNobodyIn(t *testing.T) {
	const discovery, keys = "its discovery document: ", "its keys: "
	json := func(format string, values ...any) idptest.Fault {
		return idptest.Text("application/json", fmt.Sprintf(format, values...))
	}
	stranger := idptest.Start(t)
	strangers := stranger.Document()
	for _, row := range []struct {
		name   string
		path   string
		fault  func(issuer string) idptest.Fault
		reason string // ISSUER and OTHER stand for addresses
	}{
		{"error 500", idptest.Discovery, func(string) idptest.Fault { return idptest.Status(500) }, discovery + "answered with HTTP 500"},
		{"error 500 for keys", idptest.Keys, func(string) idptest.Fault { return idptest.Status(500) }, keys + "answered with HTTP 500"},
		{"not found", idptest.Keys, func(string) idptest.Fault { return idptest.Status(404) }, keys + "answered with HTTP 404"},
		{"no content", idptest.Keys, func(string) idptest.Fault { return idptest.Status(204) }, keys + "answered with HTTP 204"},
		{"a page", idptest.Discovery, func(string) idptest.Fault {
			return idptest.Text("text/html", "<html>Sign in</html>")
		}, discovery + "not a JSON object"},
		{"a page for keys", idptest.Keys, func(string) idptest.Fault {
			return idptest.Text("text/html", "<html>Sign in</html>")
		}, keys + "not a JSON object"},
		{"nothing", idptest.Keys, func(string) idptest.Fault { return json("") }, keys + "not a JSON object"},
		{"broken off", idptest.Keys, func(string) idptest.Fault { return json(`{"keys":[`) }, keys + "not a JSON object"},
		{"no keys at all", idptest.Keys, func(string) idptest.Fault { return json(`{}`) }, keys + "JSON without a list of keys"},
		{"keys that are no list", idptest.Keys, func(string) idptest.Fault { return json(`{"keys":{}}`) }, keys + "JSON without a list of keys"},
		{"keys twice", idptest.Keys, func(string) idptest.Fault { return json(`{"keys":[],"keys":[]}`) }, keys + "a JSON object with a member twice"},
		{"too many keys", idptest.Keys, func(string) idptest.Fault {
			return json(`{"keys":[1%s]}`, strings.Repeat(",1", 100))
		}, keys + "a list of 101 keys, 100 are the most"},
		{"nested deeply", idptest.Keys, func(string) idptest.Fault {
			return json(`{"keys":%s%s}`, strings.Repeat("[", 5000), strings.Repeat("]", 5000))
		}, keys + "JSON nested too deeply"},
		{"another issuer's document", idptest.Discovery, func(string) idptest.Fault {
			return json("%s", document(t, strangers))
		}, discovery + `it is of issuer "OTHER", not "ISSUER"`},
		{"an issuer with a slash more", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":"%s/","jwks_uri":"%s/keys"}`, issuer, issuer)
		}, discovery + `it is of issuer "ISSUER/", not "ISSUER"`},
		{"no issuer", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"jwks_uri":"%s/keys"}`, issuer)
		}, discovery + `it is of issuer (none), not "ISSUER"`},
		{"issuer twice", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":%q,"issuer":"x","jwks_uri":"%s/keys"}`, issuer, issuer)
		}, discovery + "a JSON object with a member twice"},
		{"no address of keys", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":%q}`, issuer)
		}, discovery + "it does not say where the keys are (jwks_uri)"},
		{"keys without TLS", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":%q,"jwks_uri":"http://keys.example/keys"}`, issuer)
		}, discovery + "the address of its keys (jwks_uri): without TLS anybody on the way could put in keys of their own: use https (http only on loopback)"},
		{"keys in a file", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, issuer)
		}, discovery + "the address of its keys (jwks_uri): it has no host"},
		{"keys behind a password", idptest.Discovery, func(issuer string) idptest.Fault {
			return json(`{"issuer":%q,"jwks_uri":"https://a:b@x/keys"}`, issuer)
		}, discovery + "the address of its keys is no URL"},
		{"leads to a stranger", idptest.Discovery, func(string) idptest.Fault {
			return idptest.Redirect(stranger.Issuer() + idptest.Discovery)
		}, discovery + "it leads elsewhere (HTTP 302), and redirects are not followed"},
		{"leads to a stranger's keys", idptest.Keys, func(string) idptest.Fault {
			return idptest.Redirect(stranger.Issuer() + idptest.Keys)
		}, keys + "it leads elsewhere (HTTP 302), and redirects are not followed"},
		{"leads in a circle", idptest.Keys, func(issuer string) idptest.Fault {
			return idptest.Redirect(issuer + idptest.Keys)
		}, keys + "it leads elsewhere (HTTP 302), and redirects are not followed"},
		{"without end", idptest.Discovery, func(string) idptest.Fault { return idptest.Endless() }, discovery + "the answer has more than 1048576 bytes"},
		{"keys without end", idptest.Keys, func(string) idptest.Fault { return idptest.Endless() }, keys + "the answer has more than 1048576 bytes"},
		{"a bomb", idptest.Keys, func(string) idptest.Fault { return idptest.Bomb() }, keys + "the answer is compressed, which nobody asked for"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.Impatient(natstest.Patience)
			issuer := d.provider.Issuer()
			d.provider.Misbehave(row.path, row.fault(issuer))
			reason := strings.NewReplacer("ISSUER", issuer, "OTHER", stranger.Issuer()).Replace(row.reason)
			token := d.token("ada", nil)
			d.mustRefuse("meanwhile", token, "the token's key is not known, and the identity provider cannot be asked: "+reason, fault.Unavailable, false)
			d.provider.Misbehave(row.path, nil)
			natstest.Eventually(t, "the same token is let in when the provider behaves", func() bool {
				_, err := d.login(token)
				return err == nil
			})
		})
	}
	t.Cleanup(func() { // after the parallel ones
		if stranger.Requests(idptest.Discovery)+stranger.Requests(idptest.Keys) != 0 {
			t.Error("a redirect was followed")
		}
	})
}

func TestAProviderThatHangsIsGivenUp(t *testing.T) {
	for name, row := range map[string]struct {
		path  string
		fault idptest.Fault
		says  string
	}{
		"before the document":       {idptest.Discovery, idptest.Hang(nil), "its discovery document: no answer in time"},
		"within the document":       {idptest.Discovery, idptest.HangInside(), "its discovery document: no answer in time"},
		"before the keys":           {idptest.Keys, idptest.Hang(nil), "its keys: no answer in time"},
		"more headers than allowed": {idptest.Keys, idptest.Headers(), "its keys: it cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.Impatient(natstest.Patience)
			if !strings.Contains(row.says, "cannot") {
				d.Impatient(200 * time.Millisecond)
			}
			d.provider.Misbehave(row.path, row.fault)
			natstest.Eventually(t, "the reason is the one of "+row.path, func() bool { // not that of a slow machine
				_, err := d.login(d.token("ada", nil))
				return fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), row.says)
			})
			d.provider.Misbehave(row.path, nil)
			natstest.Eventually(t, "it behaves, and its people are let in", func() bool {
				_, err := d.login(d.token("ada", nil))
				return err == nil
			})
		})
	}
}

func TestKeysThatMoveAreFoundAgain(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	d.mustLetIn("before", d.token("ada", nil))
	moved := d.provider.Document()
	moved["jwks_uri"] = d.provider.Issuer() + "/elsewhere"
	key := idptest.NewKey(t, "ES256", "second")
	d.provider.Misbehave("/elsewhere", idptest.Text("application/json", string(document(t, idptest.Set(key)))))
	d.provider.Misbehave(idptest.Discovery, idptest.Text("application/json", string(document(t, moved))))
	d.provider.Misbehave(idptest.Keys, idptest.Status(http.StatusGone))
	natstest.Eventually(t, "the key at the new address is found", func() bool {
		_, err := d.login(key.Sign(t, nil, d.claims(nil)))
		return err == nil
	})
}

func TestAProviderThatFlapsIsAskedAgain(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	d.provider.Misbehave(idptest.Keys, idptest.Flapping())
	natstest.Eventually(t, "its people are let in", func() bool {
		_, err := d.login(d.token("ada", nil))
		return err == nil
	})
	if n := strings.Count(d.log.String(), "cannot be fetched"); n != 1 {
		t.Errorf("the failure is logged %d times", n)
	}
}

func TestALoginWithAKnownKeyWaitsForNoProvider(t *testing.T) {
	d := newDesk(t, nil)
	d.mustLetIn("before", d.token("ada", nil))
	release := make(chan struct{})
	d.provider.Misbehave(idptest.Keys, idptest.Hang(release))
	d.LongAgo(time.Minute)
	fresh := idptest.NewKey(t, "ES256", "fresh")
	waits := make(chan error, 1)
	go func() {
		_, err := d.login(fresh.Sign(t, nil, d.claims(nil)))
		waits <- err
	}()
	natstest.Eventually(t, "the provider is asked for the unknown key", func() bool { return d.provider.Requests(idptest.Keys) == 2 })
	for range 20 {
		d.mustLetIn("while the provider hangs", d.token("ada", nil))
	}
	select {
	case err := <-waits:
		t.Fatalf("the login with the unknown key did not wait: %v", err)
	default:
	}
	d.provider.Publish(d.provider.Key(), fresh)
	close(release)
	if err := <-waits; err != nil && !strings.Contains(err.Error(), "does not publish") {
		t.Error(err)
	}
}

func TestMadeUpKeyIDsDoNotHammerTheProvider(t *testing.T) {
	d := newDesk(t, nil)
	d.mustLetIn("before", d.token("ada", nil))
	evil := idptest.NewKey(t, "ES256", "x")
	flood := func() {
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for j := range 25 {
					kid := fmt.Sprintf("made-up-%d-%d", i, j)
					if _, err := d.login(evil.Sign(t, map[string]any{"kid": kid}, d.claims(nil))); err == nil {
						t.Error("let in")
					}
				}
			})
		}
		wait.Wait()
	}
	began := time.Now()
	flood()
	d.LongAgo(time.Minute)
	flood()
	// Two fetches at most for each interval of 10 s begun, one before and one after LongAgo.
	if asked, most := d.provider.Requests(idptest.Keys), 3+int(time.Since(began)/(10*time.Second)); asked > most {
		t.Errorf("%d requests for keys in %s, want %d at most", asked, time.Since(began), most)
	}
	d.mustLetIn("after", d.token("ada", nil))
}

func TestLoginsThatWaitShareOneFetch(t *testing.T) {
	d := newDesk(t, nil)
	release := make(chan struct{})
	d.provider.Misbehave(idptest.Keys, idptest.Hang(release))
	results := make(chan error, 20)
	for range cap(results) {
		go func() {
			_, err := d.login(d.token("ada", nil))
			results <- err
		}()
	}
	natstest.Eventually(t, "all wait", func() bool { return d.Waiting() == cap(results) })
	close(release)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if asked := d.provider.Requests(idptest.Keys); asked != 1 {
		t.Errorf("%d requests for keys", asked)
	}
}

func TestLoginsThatWaitHaveABound(t *testing.T) {
	d := newDesk(t, nil)
	d.Room(2)
	release := make(chan struct{})
	d.provider.Misbehave(idptest.Keys, idptest.Hang(release))
	results := make(chan error, 2)
	for range cap(results) {
		go func() {
			_, err := d.login(d.token("ada", nil))
			results <- err
		}()
	}
	natstest.Eventually(t, "two wait", func() bool { return d.Waiting() == 2 })
	d.mustRefuse("the third", d.token("ada", nil),
		"the token's key is not known, and the identity provider cannot be asked: too many logins wait for its keys", fault.Unavailable, false)
	close(release)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestALoginWaitsNoLongerThanItsServer(t *testing.T) {
	d := newDesk(t, nil)
	d.provider.Misbehave(idptest.Keys, idptest.Hang(nil))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := d.Authorize(ctx, &callout.Request{Token: callout.Secret(d.token("ada", nil))})
		result <- err
	}()
	natstest.Eventually(t, "it waits", func() bool { return d.Waiting() == 1 })
	cancel()
	err := <-result
	if want := "the token's key is not known, and the identity provider cannot be asked: context canceled"; !fault.Is(err, fault.Unavailable) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if d.Waiting() != 0 {
		t.Error("its place is not free again")
	}
}

func TestRotatedKeysAreFoundAndOldOnesDropped(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	first, second, third := d.provider.Key(), idptest.NewKey(t, "RS256", "second"), idptest.NewKey(t, "EdDSA", "third")
	old := d.token("ada", nil)
	d.mustLetIn("the first key", old)
	d.provider.Publish(second, first)
	d.mustLetIn("a key added", d.token("ada", nil))
	d.mustLetIn("the key before, still published", old)
	d.provider.Publish(third)
	d.mustLetIn("another", d.token("ada", nil))
	natstest.Eventually(t, "the provider may be asked again", func() bool {
		_, err := d.login(old)
		return err != nil
	})
	d.mustRefuse("a key withdrawn", old,
		`the token is signed with key "first" for "ES256", which the identity provider does not publish`, fault.Refused, true)
	d.provider.Publish()
	natstest.Eventually(t, "a provider without keys lets nobody in", func() bool {
		if err := d.Asks(natstest.Within(t)); err != nil {
			t.Fatal(err)
		}
		_, err := d.login(third.Sign(t, nil, d.claims(nil)))
		return err != nil
	})
}

func TestAWithdrawnKeyIsNoticedThoughNobodyAsks(t *testing.T) {
	d := newDesk(t, nil)
	d.provider.Cache("max-age=0, must-revalidate")
	d.Refresh(10 * time.Millisecond)
	old := d.token("ada", nil)
	d.mustLetIn("before", old)
	d.provider.Publish(idptest.NewKey(t, "ES256", "second"))
	natstest.Eventually(t, "the key counts no more", func() bool {
		_, err := d.login(old)
		return err != nil
	})
	d.mustLetIn("the new one", d.token("ada", nil))
}

func TestKnownKeysCountWhileAProviderIsAwayAndNoLonger(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	d.mustLetIn("before", d.token("ada", nil))
	d.provider.Misbehave(idptest.Discovery, idptest.Status(503))
	d.provider.Misbehave(idptest.Keys, idptest.Status(503))
	unknown := idptest.NewKey(t, "ES256", "unknown").Sign(t, nil, d.claims(nil))
	natstest.Eventually(t, "an unknown key is nobody's fault", func() bool {
		_, err := d.login(unknown)
		return fault.Is(err, fault.Unavailable)
	})
	d.mustLetIn("a known key, while it is away", d.token("ada", nil))
	d.LongAgo(3 * time.Hour)
	d.mustLetIn("a known key, for hours", d.token("ada", nil))
	d.LongAgo(time.Hour)
	_, err := d.login(d.token("ada", nil))
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("a key known too long ago: %v", err)
	}
	d.provider.Misbehave(idptest.Discovery, nil)
	d.provider.Misbehave(idptest.Keys, nil)
	natstest.Eventually(t, "it is back", func() bool {
		_, err := d.login(d.token("ada", nil))
		return err == nil
	})
}

func TestAClosedBackendAsksNobody(t *testing.T) {
	d := newDesk(t, nil)
	d.mustLetIn("before", d.token("ada", nil))
	asked := d.provider.Requests(idptest.Keys)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.LongAgo(time.Minute)
	d.mustLetIn("with a known key", d.token("ada", nil))
	d.mustRefuse("with another", idptest.NewKey(t, "ES256", "x").Sign(t, nil, d.claims(nil)),
		"the token's key is not known, and the identity provider cannot be asked: closed", fault.Unavailable, false)
	if now := d.provider.Requests(idptest.Keys); now != asked {
		t.Errorf("%d requests more", now-asked)
	}
}

func TestAnswersAreFreshWithinBounds(t *testing.T) {
	d := newDesk(t, nil)
	for _, row := range []struct {
		lines []string
		want  time.Duration
	}{
		{nil, 10 * time.Minute},
		{[]string{"public"}, 10 * time.Minute},
		{[]string{"public, max-age=1800, must-revalidate"}, 30 * time.Minute},
		{[]string{"PUBLIC", "Max-Age=\"1800\""}, 30 * time.Minute},
		{[]string{"max-age=0"}, time.Minute},
		{[]string{"max-age=5"}, time.Minute},
		{[]string{"max-age=1800, no-store"}, time.Minute},
		{[]string{"no-cache"}, time.Minute},
		{[]string{"max-age=31536000"}, time.Hour},
		{[]string{"max-age=-1"}, 10 * time.Minute},
		{[]string{"max-age=99999999999999999999"}, 10 * time.Minute},
		{[]string{"max-age=soon"}, 10 * time.Minute},
		{[]string{"s-maxage=1800"}, 10 * time.Minute},
	} {
		if got := d.Until(oidc.Freshness(row.lines...)); got != row.want {
			t.Errorf("%q: %s, want %s", row.lines, got, row.want)
		}
	}
}

func TestTheProviderIsAskedForJSONAlone(t *testing.T) {
	d := newDesk(t, nil)
	var mu sync.Mutex
	var seen []http.Header
	note := func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Clone())
		return false
	}
	d.provider.Misbehave(idptest.Discovery, note)
	d.provider.Misbehave(idptest.Keys, note)
	token := d.token("ada", nil)
	d.mustLetIn("as ever", token)
	mu.Lock()
	defer mu.Unlock()
	for _, header := range seen {
		names := make([]string, 0, len(header))
		for name := range header {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"Accept", "User-Agent"}) {
			t.Errorf("headers %q", names)
		}
	}
}
