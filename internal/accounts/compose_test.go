package accounts_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/accounts"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// world has two people, of whom bob has accepted a share of alice's.
type world struct {
	*chain.World
	hub, alice, bob, catalog string
}

func newWorld() *world {
	key := func() string { return trust.NewKeyPair(trust.Account).String() }
	w := &world{World: chain.NewWorld(nil), hub: key(), alice: key(), bob: key(), catalog: trust.NewID()}
	for handle, account := range map[string]string{"alice": w.alice, "bob": w.bob} {
		w.People[account] = &chain.Person{Account: account, Handle: handle, Devices: map[string]*chain.DeviceFact{}}
		w.Shares[account] = &chain.Shares{Granted: map[string]*chain.GrantBody{}, Taken: map[string]*chain.AcceptBody{}}
	}
	w.share(w.catalog)
	return w
}

// share has alice share a catalog once more, and bob accept it.
func (w *world) share(catalog string) (grant string) {
	grant = trust.NewID()
	w.Shares[w.alice].Granted[grant] = &chain.GrantBody{Grant: grant, Catalog: catalog, To: w.bob}
	w.Shares[w.bob].Taken[grant] = &chain.AcceptBody{Grant: grant, Owner: w.alice, Catalog: catalog}
	return grant
}

func text(t *testing.T, claims *jwt.AccountClaims) string {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// imports are the imports of an account in words: type, far subject → near subject.
func imports(w *world, account string) []string {
	var lines []string
	for _, i := range accounts.Compose(w.World, w.hub, account).Imports {
		lines = append(lines, fmt.Sprintf("%s of %s: %s → %s", i.Type, i.Account, i.Subject, i.LocalSubject))
	}
	return lines
}

func TestAnAccountExportsAndImportsWhatTheProtocolSays(t *testing.T) {
	w := newWorld()
	for _, account := range []string{w.alice, w.bob} {
		claims := accounts.Compose(w.World, w.hub, account)
		if claims.Subject != account || claims.Name != w.People[account].Handle {
			t.Errorf("it is the account of %s, %s", claims.Name, claims.Subject)
		}
		var exports []string
		for _, e := range claims.Exports {
			exports = append(exports, fmt.Sprintf("%s %s, position %d, %s, tokens %v", e.Type, e.Subject, e.AccountTokenPosition, e.ResponseType, e.TokenReq))
		}
		want := []string{"service catalog.*.>, position 2, Stream, tokens false", "stream live.*.*, position 2, , tokens false"}
		if diff := cmp.Diff(want, exports); diff != "" {
			t.Errorf("exports: %s", diff)
		}
	}
	own := func(account string) string {
		return fmt.Sprintf("service of %s: hub.%s.> → hub.>", w.hub, account)
	}
	if diff := cmp.Diff([]string{own(w.alice)}, imports(w, w.alice)); diff != "" {
		t.Errorf("of the owner: %s", diff)
	}
	want := []string{
		fmt.Sprintf("service of %s: catalog.%s.%s.> → from.%[1]s.%[3]s.>", w.alice, w.bob, w.catalog),
		own(w.bob),
		fmt.Sprintf("stream of %s: live.%s.%s → news.%[1]s.%[3]s", w.alice, w.bob, w.catalog),
	}
	if diff := cmp.Diff(want, imports(w, w.bob)); diff != "" {
		t.Errorf("of the reader: %s", diff)
	}
}

func TestAnAccountIsOneThatNATSTakes(t *testing.T) {
	w := newWorld()
	claims := accounts.Compose(w.World, w.hub, w.bob)
	checked := jwt.CreateValidationResults()
	if claims.Validate(checked); len(checked.Issues) != 0 {
		t.Errorf("NATS finds fault with it: %v", checked.Issues)
	}
	limits := claims.Limits
	if limits.Conn <= 0 || limits.LeafNodeConn != 0 || !limits.DisallowBearer || limits.JetStreamLimits != (jwt.JetStreamLimits{}) {
		t.Errorf("limits %+v", limits)
	}
	if limits.Imports < 2*chain.MaxShares+1 || limits.Exports != 2 || limits.WildcardExports != true {
		t.Errorf("limits %+v", limits)
	}
	if p := claims.DefaultPermissions; p.Pub.Allow != nil || p.Sub.Allow != nil {
		t.Errorf("default permissions %+v", p)
	}
	if len(claims.SigningKeys) != 0 || claims.Authorization.IsEnabled() {
		t.Error("somebody else than the identity issues its users")
	}
}

func TestTheSameWorldGivesTheSameClaims(t *testing.T) {
	w := newWorld()
	for range 20 {
		w.share(trust.NewID())
		key := trust.NewKeyPair(trust.Device).String()
		w.People[w.bob].Devices[key] = &chain.DeviceFact{Revoked: 2, Expires: time.Unix(1800000000, 0)}
	}
	first := accounts.Compose(w.World, w.hub, w.bob)
	for range 20 {
		if again := accounts.Compose(w.World, w.hub, w.bob); text(t, again) != text(t, first) {
			t.Fatalf("%s\nand\n%s", text(t, first), text(t, again))
		}
	}
}

func TestSignedClaimsSayTheSame(t *testing.T) {
	w := newWorld()
	signing := trust.NewKeyPair(trust.Operator).NKey()
	encode := func() string {
		t.Helper()
		token, err := accounts.Compose(w.World, w.hub, w.bob).Encode(signing)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	if !accounts.SameAccount(encode(), accounts.Compose(w.World, w.hub, w.bob)) {
		t.Error("signed, it says something else")
	}
	for what, change := range map[string]func(){
		"another share":  func() { w.share(trust.NewID()) },
		"another handle": func() { w.People[w.bob].Handle += "by" },
		"a lost device": func() {
			w.People[w.bob].Devices[trust.NewKeyPair(trust.Device).String()] = &chain.DeviceFact{Revoked: 3}
		},
	} {
		before := encode()
		change()
		if accounts.SameAccount(before, accounts.Compose(w.World, w.hub, w.bob)) {
			t.Errorf("%s makes no difference", what)
		}
	}
	for _, token := range []string{"", "x.y.z"} {
		if accounts.SameAccount(token, accounts.Compose(w.World, w.hub, w.bob)) {
			t.Errorf("%q says the same", token)
		}
	}
}

func TestACatalogIsImportedOnceHoweverOftenItIsShared(t *testing.T) {
	w := newWorld()
	before := imports(w, w.bob)
	grant := w.share(w.catalog)
	if diff := cmp.Diff(before, imports(w, w.bob)); diff != "" {
		t.Errorf("granted twice: %s", diff)
	}
	delete(w.Shares[w.alice].Granted, grant)
	if diff := cmp.Diff(before, imports(w, w.bob)); diff != "" {
		t.Errorf("ended once: %s", diff)
	}
	clear(w.Shares[w.alice].Granted)
	if left := imports(w, w.bob); len(left) != 1 {
		t.Errorf("ended twice: %v", left)
	}
}

func TestARevokedDeviceIsRevokedAtNATS(t *testing.T) {
	w := newWorld()
	good, lost := trust.NewKeyPair(trust.Device).String(), trust.NewKeyPair(trust.Device).String()
	until := time.Unix(1800000000, 0)
	w.People[w.alice].Devices[good] = &chain.DeviceFact{Expires: until}
	w.People[w.alice].Devices[lost] = &chain.DeviceFact{Expires: until, Revoked: 3}
	claims := accounts.Compose(w.World, w.hub, w.alice)
	// Revocations are by the time of issue: whatever was issued up to the end of the last token.
	if claims.Revocations[lost] != until.Unix() || len(claims.Revocations) != 1 {
		t.Errorf("revocations %v", claims.Revocations)
	}
}

func TestAServerWithTheCalloutHoleIsRefused(t *testing.T) {
	for version, code := range map[string]fault.Code{
		"2.14.8": "", "2.14.9": "", "2.15.1": "", "2.15.2": "", "2.16.0": "", "2.100.0": "", "3.0.0": "", "2.15.2-RC.1": "",
		"2.15.0": fault.Refused, "2.14.7": fault.Refused, "2.13.99": fault.Refused, "2.10.0": fault.Refused, "2.9.0": fault.Refused,
		"1.4.1": fault.Refused, "0.9.6": fault.Refused,
		"": fault.Unavailable, "new": fault.Unavailable, "2": fault.Unavailable, "2.15": fault.Unavailable,
	} {
		if err := accounts.CheckVersion("s", version); fault.CodeOf(err) != code {
			t.Errorf("%q: %v, want %q", version, err, code)
		}
	}
}

func TestAnOldServerWithAHighMinorVersionIsRefused(t *testing.T) {
	if err := accounts.CheckVersion("s", "1.16.0"); !fault.Is(err, fault.Refused) {
		t.Errorf("%v", err)
	}
}
