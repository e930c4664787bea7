package callout_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/natstest"
)

// intoAccount is a callout of a company's with a backend for everybody.
func intoAccount(t *testing.T, company *natstest.Company, authorize callout.AuthorizerFunc) {
	t.Helper()
	backendtest.Serve(t, company, callout.Only("test", authorize))
}

// inQueue is a subscription in the queue group b: an entry "a b" of a grant would allow it
// to NATS, which no grant of ours can mean.
const inQueue = "Queue Subscription"

// probe is a connection by which a subject is tried, and what the server says of it.
type probe struct {
	nc      net.Conn
	replies *bufio.Reader
}

// newProbe logs in with a user and password, beside a sentinel. It fails where the login is refused.
func newProbe(address, sentinel, user string) (*probe, error) {
	nc, err := net.DialTimeout("tcp", address, natstest.Patience)
	if err != nil {
		return nil, err
	}
	p := &probe{nc, bufio.NewReader(nc)}
	if _, err := p.replies.ReadString('\n'); err != nil { // INFO
		return nil, err
	}
	connect, err := json.Marshal(map[string]any{"jwt": sentinel, "user": user, "verbose": false, "pedantic": false, "protocol": 1, "headers": true})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(nc, "CONNECT %s\r\n", connect); err != nil {
		return nil, err
	}
	refused, err := p.refusals()
	if err == nil && len(refused) > 0 {
		err = fmt.Errorf("refused: %v", refused)
	}
	return p, err
}

// refusals are the errors that the server has sent up to now.
func (p *probe) refusals() (refused []string, err error) {
	if _, err := fmt.Fprint(p.nc, "PING\r\n"); err != nil {
		return nil, err
	}
	if err := p.nc.SetReadDeadline(time.Now().Add(natstest.Patience)); err != nil {
		return nil, err
	}
	for {
		line, err := p.replies.ReadString('\n')
		if err != nil {
			return refused, fmt.Errorf("after %v: %w", refused, err)
		}
		switch {
		case strings.HasPrefix(line, "PONG"):
			return refused, nil
		case strings.HasPrefix(line, "-ERR"):
			refused = append(refused, line)
		}
	}
}

// may tries subjects, and tells which the server lets through.
func (p *probe) may(verb string, subjects []string) (map[string]bool, error) {
	for i, subject := range subjects {
		command := fmt.Sprintf("SUB %s %d\r\n", subject, i+1)
		switch verb {
		case "Publish":
			command = fmt.Sprintf("PUB %s 0\r\n\r\n", subject)
		case inQueue:
			command = fmt.Sprintf("SUB %s b %d\r\n", subject, i+1)
		}
		if _, err := fmt.Fprint(p.nc, command); err != nil {
			return nil, err
		}
	}
	refused, err := p.refusals()
	may := make(map[string]bool)
	for _, subject := range subjects {
		may[subject] = !slices.ContainsFunc(refused, func(line string) bool {
			said := `"` + subject + `"`
			if verb == inQueue {
				said += ` using queue "b"`
			}
			return strings.Contains(line, strings.TrimPrefix(verb, "Queue ")) && strings.Contains(line, said)
		})
	}
	return may, err
}

// means is the plain meaning of a subject in a grant: token by token, "*" one, ">" the rest.
func means(pattern, subject string) bool {
	wants, has := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, want := range wants {
		if want == ">" && i == len(wants)-1 {
			return len(has) > i
		}
		if i >= len(has) || want != "*" && want != has[i] {
			return false
		}
	}
	return len(wants) == len(has)
}

// allows is the plain meaning of a grant for a literal subject.
func allows(s callout.Subjects, denied []string, subject string) bool {
	match := func(pattern string) bool { return means(pattern, subject) }
	return slices.ContainsFunc(s.Allow, match) && !slices.ContainsFunc(s.Deny, match) && !slices.ContainsFunc(denied, match)
}

// TestNoGrantIsWidened: whatever the lists of a grant hold, the login is refused, or a real
// server lets through exactly what the grant says in plain reading.
func TestNoGrantIsWidened(t *testing.T) {
	company := natstest.StartCompany(t, natstest.CompanyOptions{})
	var granted *callout.Grant
	intoAccount(t, company, func(context.Context, *callout.Request) (*callout.Grant, error) { return granted, nil })
	token := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "A", "ab", "a b", "*", ">", "", " ", "a ", "\ta", "a*", ">a", "{{name()}}", "_INBOX", "_R_", "$SYS"}),
		rapid.StringMatching(`[abA*>. \t\r\n]{0,4}`),
	)
	subject := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(token, 1, 3).Draw(t, "tokens"), ".")
	})
	clean := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "A", "*", "_INBOX"}), 1, 2).Draw(t, "tokens"), ".") +
			rapid.SampledFrom([]string{"", "", ".>"}).Draw(t, "rest")
	})
	list := rapid.OneOf(rapid.SliceOfN(clean, 0, 3), rapid.SliceOfN(clean, 0, 3), rapid.SliceOfN(subject, 0, 3))
	literals := []string{
		"a", "b", "A", "ab", "a.a", "a.b", "b.a", "A.a", "a.A", "ab.a", "a.b.a", "a.b.b", "b.b.b", "_INBOX.a", "_INBOX.a.b", "_R_.a",
		"_INBOX_ada.x", "_INBOX_ada", "_INBOX_bob.x", "$SYS.REQ.USER.AUTH", "$JS.API.INFO", "{{name()}}",
	}
	address := company.Servers[0].Addr().String()
	entered := 0
	rapid.Check(t, func(t *rapid.T) {
		granted = &callout.Grant{
			Account: company.APP1.ID, Signer: company.APP1.Signer, Name: "ada", Expires: time.Now().Add(time.Hour),
			Publish:   callout.Subjects{Allow: list.Draw(t, "publish"), Deny: list.Draw(t, "never publish")},
			Subscribe: callout.Subjects{Allow: list.Draw(t, "subscribe"), Deny: list.Draw(t, "never subscribe")},
			Inbox:     rapid.OneOf(rapid.SampledFrom([]string{"", "_INBOX_ada"}), rapid.StringMatching(`_INBOX_?[ab*>. ]{0,3}`)).Draw(t, "inbox"),
		}
		p, err := newProbe(address, company.BearerSentinel, "ada")
		if p != nil {
			defer p.nc.Close()
		}
		if err != nil {
			return // refused as a whole
		}
		entered++
		hears := granted.Subscribe
		if granted.Inbox != "" {
			hears.Allow = append([]string{granted.Inbox + ".>"}, hears.Allow...)
		}
		denied := []string{"_INBOX.>", "_R_.>"}
		for verb, says := range map[string]callout.Subjects{"Publish": granted.Publish, "Subscription": hears, inQueue: hears} {
			may, err := p.may(verb, literals)
			if err != nil {
				t.Fatal(err)
			}
			for subject, does := range may {
				if want := allows(says, denied, subject); does != want {
					t.Fatalf("%s %q: %t, but the grant says %t: %+v with inbox %q", verb, subject, does, want, says, granted.Inbox)
				}
			}
		}
	})
	if entered < 10 {
		t.Errorf("%d logins were let in: the test says nothing", entered)
	}
}

// TestNoWordWidensATemplate: names and tags that a signing key's template puts into
// subjects. What comes in has the very subjects of its own words.
func TestNoWordWidensATemplate(t *testing.T) {
	var tagged nkeys.KeyPair
	company := natstest.StartCompany(t, natstest.CompanyOptions{Account: func(name string, claims *jwt.AccountClaims) {
		if name != "APP1" {
			return
		}
		tagged = newPair(t, nkeys.CreateAccount).KeyPair
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = natstest.PublicKey(t, tagged), "tagged"
		scope.Template.Permissions = jwt.Permissions{
			Pub: jwt.Permission{Allow: jwt.StringList{"{{tag(team)}}.{{name()}}.say"}},
			Sub: jwt.Permission{Allow: jwt.StringList{"{{name()}}.{{tag(team)}}.hear"}},
		}
		claims.SigningKeys.AddScopedSigner(scope)
	}})
	var granted *callout.Grant
	intoAccount(t, company, func(context.Context, *callout.Request) (*callout.Grant, error) { return granted, nil })
	address := company.Servers[0].Addr().String()
	enter := func(name string, tags []string) (*probe, error) {
		granted = &callout.Grant{
			Account: company.APP1.ID, Signer: tagged, Scoped: true, Name: name, Tags: tags, Expires: time.Now().Add(time.Hour),
		}
		p, err := newProbe(address, company.BearerSentinel, "x")
		if p != nil {
			t.Cleanup(func() { p.nc.Close() })
		}
		return p, err
	}
	for _, good := range []struct{ name, team string }{{"ada", "blue"}, {"Ada", "b:l"}, {"küche", "ü"}, {"$x", "{x}"}} {
		p, err := enter(good.name, []string{"team:" + good.team})
		if err != nil {
			t.Errorf("%+v: %v", good, err)
			continue
		}
		own := good.team + "." + good.name + ".say"
		others := []string{"red." + good.name + ".say", good.team + ".bob.say", "x", good.team + "." + good.name, own + ".more"}
		may, err := p.may("Publish", append(others, own))
		if err != nil || !may[own] {
			t.Errorf("%+v: %v, %v", good, may, err)
		}
		for _, other := range others {
			if may[other] {
				t.Errorf("%+v may publish to %s", good, other)
			}
		}
		own = good.name + "." + good.team + ".hear"
		if may, err := p.may("Subscription", []string{own, "*." + good.team + ".hear", good.name + ".>", ">", "bob.blue.hear"}); err != nil ||
			!may[own] || may["*."+good.team+".hear"] || may[good.name+".>"] || may[">"] || may["bob.blue.hear"] {
			t.Errorf("%+v: %v, %v", good, may, err)
		}
	}
	for _, word := range []string{
		"*", ">", "", " ", ".", "a.b", "a.>", "*.*", "a*", "a b", " a", "a ", "\ta", "a\n", "a\r\nSUB", "\x00", "a\u2028", "\xff", "a\u200b",
		"{{name()}}", "{{tag(team)}}", "{{account-name()}}", "}}", strings.Repeat("a", 300),
	} {
		if _, err := enter(word, []string{"team:blue"}); err == nil {
			t.Errorf("the name %q was let in", word)
		}
		if _, err := enter("ada", []string{"team:" + word}); err == nil {
			t.Errorf("the tag %q was let in", "team:"+word)
		}
	}
	for _, tags := range [][]string{{"team:Blue"}, {"TEAM:blue"}, {"team:blue", "team:*"}, {"team"}, {" team:blue"}, {"other:blue"}, nil} {
		p, err := enter("ada", tags)
		if err != nil {
			continue
		}
		if may, err := p.may("Publish", []string{"blue.ada.say", "Blue.ada.say", "x.ada.say", "team.ada.say"}); err != nil ||
			slices.Contains([]bool{may["blue.ada.say"], may["Blue.ada.say"], may["x.ada.say"], may["team.ada.say"]}, true) {
			t.Errorf("with the tags %q: %v, %v", tags, may, err)
		}
	}
}

// TestAScopedGrantWithRightsOfItsOwnIsNone: they would be ignored, or the server refuses.
func TestAScopedGrantWithRightsOfItsOwnIsNone(t *testing.T) {
	company := natstest.StartCompany(t, natstest.CompanyOptions{})
	var granted *callout.Grant
	intoAccount(t, company, func(context.Context, *callout.Request) (*callout.Grant, error) { return granted, nil })
	enter := func(change func(*callout.Grant)) error {
		granted = &callout.Grant{
			Account: company.APP1.ID, Signer: company.APP1.Scoped, Scoped: true, Name: "ada", Expires: time.Now().Add(time.Hour),
		}
		change(granted)
		p, err := newProbe(company.Servers[0].Addr().String(), company.BearerSentinel, "x")
		if p != nil {
			p.nc.Close()
		}
		return err
	}
	if err := enter(func(*callout.Grant) {}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*callout.Grant){
		"publish":       func(g *callout.Grant) { g.Publish.Allow = []string{">"} },
		"deny":          func(g *callout.Grant) { g.Subscribe.Deny = []string{"x"} },
		"responses":     func(g *callout.Grant) { g.Responses = callout.Responses{Max: 1, Within: time.Second} },
		"inbox":         func(g *callout.Grant) { g.Inbox = "_INBOX_ada" },
		"shared inbox":  func(g *callout.Grant) { g.SharedInbox = true },
		"limits":        func(g *callout.Grant) { g.MaxPayload = 1 },
		"not scoped":    func(g *callout.Grant) { g.Scoped, g.Publish.Allow = false, []string{">"} },
		"another's key": func(g *callout.Grant) { g.Signer = company.APP2.Signer },
		"no end":        func(g *callout.Grant) { g.Expires = time.Time{} },
		"SYS":           func(g *callout.Grant) { g.Account, g.Signer, g.Scoped = company.SYS.ID, company.SYS.Signer, false },
	} {
		if enter(change) == nil {
			t.Errorf("%s: let in", name)
		}
	}
}
