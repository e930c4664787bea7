package operator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

// otherHub proves to be another hub, with keys of its own.
func otherHub(t *testing.T) func(challenge string, p *api.Proof) {
	t.Helper()
	identity, signing := trust.NewKeyPair(trust.Operator), trust.NewKeyPair(trust.Operator)
	claims := jwt.NewOperatorClaims(identity.String())
	claims.SigningKeys.Add(signing.String())
	token, err := claims.Encode(identity.NKey())
	must(t, err)
	return func(challenge string, p *api.Proof) {
		raw, _ := hex.DecodeString(challenge)
		proof := trust.ProveHub(signing, [32]byte(raw), sha256.Sum256([]byte(p.Document)))
		p.Hub, p.Proof = token, proof[:]
	}
}

func whichHub(t *testing.T, s *stage) {
	t.Helper()
	other := otherHub(t)
	web := func(status int, body string) func(*Liar) {
		return func(l *Liar) {
			l.web = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
		}
	}
	prove := func(change func(challenge string, p *api.Proof)) func(*Liar) {
		return func(l *Liar) { l.prove = change }
	}
	var older *api.Proof
	for _, row := range []struct {
		name string
		lie  func(*Liar)
		says string // to who joins
		also string // to who has joined; the same if empty
	}{
		{
			"another hub", prove(other),
			`^keyhall: the hub at http://\S+ is not the one this invite is for; nothing was sent to it\n`,
			`what answers at http://\S+ is another hub than the one you joined \(O.*, then O.*\); nothing was sent to it`,
		},
		{
			"another hub's token with the own proof", prove(func(c string, p *api.Proof) {
				proof := p.Proof
				other(c, p)
				p.Proof = proof
			}), `the hub at http://\S+ does not prove who it is`, "",
		},
		{
			"an older proof", prove(func(_ string, p *api.Proof) {
				if older == nil {
					older = &api.Proof{Hub: p.Hub, Document: p.Document, Proof: flipped(p.Proof, 0)}
				}
				*p = *older
			}), `does not prove who it is`, "",
		},
		{
			"another document", prove(func(_ string, p *api.Proof) { p.Document = `{"version":1,"nats":["nats://127.0.0.1:1"]}` }),
			`does not prove who it is`, "",
		},
		{"no proof", prove(func(_ string, p *api.Proof) { p.Proof = nil }), `does not prove who it is`, ""},
		{"no hub", prove(func(_ string, p *api.Proof) { p.Hub = "trust me" }), `does not prove who it is`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			liar := newLiar(t, s.Hall)
			if row.also == "" {
				row.also = row.says
			}
			code := s.people["alice"].MustInvite(1)
			home := filepath.Join(t.TempDir(), "newcomer")
			join := []string{"join", liar.Origin, "--invite", code, "--handle", handleOf(row.name)}
			member := s.home(t, "bob", liar.Origin)
			row.lie(liar)
			if got := s.run(t, home, join...); got.status != 1 || !matchesText(row.says, got.err) {
				t.Errorf("join: %+v", got)
			}
			if got := s.run(t, member, "people"); got.status != 1 || !matchesText(row.also, got.err) {
				t.Errorf("people: %+v", got)
			}
			if liar.met() != 0 {
				t.Error("something was sent")
			}
			liar.prove, liar.web = nil, nil
			if got := s.run(t, home, join...); got.status != 0 {
				t.Errorf("join, when the hub is honest again: %+v", got)
			}
			if got := s.run(t, member, "people"); got.status != 0 {
				t.Errorf("people, when the hub is honest again: %+v", got)
			}
		})
	}
	// What is no hub at all keeps out who joins; members go on with what they know.
	for name, lie := range map[string]func(*Liar){
		"status 500": web(500, ""), "no JSON": web(200, "\x1b[2Jhello"), "no end": web(200, strings.Repeat("{", 1<<20)), "nothing": web(200, "{}"),
	} {
		liar := newLiar(t, s.Hall)
		lie(liar)
		got := s.run(t, filepath.Join(t.TempDir(), "newcomer"), "join", liar.Origin, "--invite", s.people["alice"].MustInvite(1), "--handle", "eve")
		if got.status != 1 || !matchesText(`^keyhall: [^\x1b\n]*(is not a Keyhall hub|does not prove who it is)[^\x1b\n]*\n$`, got.err) || liar.met() != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// handleOf is a handle that a name of a test makes.
func handleOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "p" + hex.EncodeToString(sum[:6])
}

func whoJoins(t *testing.T, s *stage) {
	t.Helper()
	mallorys := s.events(t, "people.chain", api.ChainRequest{Account: s.account("mallory")})
	admission := func(tell func(s *said) []*said) lie {
		return func(s *said) []*said {
			if !strings.HasPrefix(s.Of, "admission.") {
				return []*said{s}
			}
			return tell(s)
		}
	}
	for _, row := range []struct {
		name  string
		lie   lie
		keeps func(l *line, f *frame) bool
		says  string
	}{
		{
			name: "admitted, and was not", keeps: func(l *line, f *frame) bool {
				if !strings.HasPrefix(f.subject, "admission.") {
					return true
				}
				l.say(f.reply, "", nil, []byte(`{"seq":1}`))
				return false
			}, says: `the hub refused the login`,
		},
		{
			name: "refused, and was admitted", lie: admission(func(s *said) []*said {
				one := s.with(nil)
				one.header = errorHeader("refused", "we do not want you")
				return []*said{one}
			}), says: `we do not want you`,
		},
		{
			name: "nothing that can be read", lie: admission(func(s *said) []*said { return []*said{s.with([]byte("welcome"))} }),
			says: `the hub answered something that cannot be read`,
		},
		{
			name: "somebody else", lie: instead("people.chain", func(_ []byte, page *api.ChainPage) {
				page.Events, page.Head = mallorys, uint64(len(mallorys))
			}), says: `the chain of A.* does not verify: .*it is not there`,
		},
		{
			name: "nobody", lie: instead("people.chain", func(_ []byte, page *api.ChainPage) { *page = api.ChainPage{} }),
			says: `the chain of A.* does not verify: .*it is not there`,
		},
		{
			name: "another handle", lie: instead("people.chain", func(_ []byte, page *api.ChainPage) {
				page.Events[0].Event = flipped(page.Events[0].Event, -30)
			}), says: `the chain of A.* does not verify: body is not the one that was signed`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			liar := newLiar(t, s.Hall)
			home := filepath.Join(t.TempDir(), "newcomer")
			join := []string{"join", liar.Origin, "--invite", s.people["alice"].MustInvite(1), "--handle", handleOf(row.name)}
			liar.lies(row.lie)
			liar.listens(row.keeps)
			if got := s.run(t, home, join...); got.status != 1 || !matchesText(row.says, got.err) || liar.tells() == 0 {
				t.Errorf("%+v, want %q", got, row.says)
			}
			liar.lies(nil)
			liar.listens(nil)
			if got := s.run(t, home, join...); got.status != 0 {
				t.Errorf("when the hub is honest again: %+v", got)
			}
			if got := s.run(t, home, "people"); got.status != 0 {
				t.Errorf("and then: %+v", got)
			}
		})
	}
}

func whoComesBack(t *testing.T, s *stage) {
	t.Helper()
	fetched := func(change func(b *api.RecoveryBackup)) lie {
		return func(s *said) []*said {
			if !strings.HasPrefix(s.Of, "recovery.") {
				return []*said{s}
			}
			answer := asks[api.RecoveryBackup](s.data)
			change(&answer)
			return []*said{s.with(jsonOf(answer))}
		}
	}
	var others []byte
	spy := newLiar(t, s.Hall)
	spy.listens(func(_ *line, f *frame) bool {
		if f.subject == "hub.recovery.put" {
			others = f.data
		}
		return true
	})
	s.mustRun(s.home(t, "carol", spy.Origin), "recovery")
	const not = `^keyhall: what the hub has under this recovery code is not your backup; ask its host\n$`
	for _, row := range []struct {
		name, says string
		lie        func(account string) lie
	}{
		{"somebody else's backup", not, func(string) lie { return fetched(func(b *api.RecoveryBackup) { b.Event = others }) }},
		{"a bit of it", not, func(string) lie { return fetched(func(b *api.RecoveryBackup) { b.Event = flipped(b.Event, -1) }) }},
		{"half of it", not, func(string) lie { return fetched(func(b *api.RecoveryBackup) { b.Event = b.Event[:len(b.Event)/2] }) }},
		{"nothing of it", not, func(string) lie { return fetched(func(b *api.RecoveryBackup) { b.Event = nil }) }},
		{
			"a past before the backup", `the hub shows another past of you than when the backup was made; do not trust it`,
			func(account string) lie {
				return chainOf(account, func(_ uint64, page *api.ChainPage) { page.Events, page.Head = page.Events[:1], 1 })
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			liar := newLiar(t, s.Hall)
			lost := s.JoinWith(handleOf(row.name), s.people["alice"].MustInvite(1))
			lost.MustInvite(1)
			made, err := lost.MakeRecovery(t.Context())
			must(t, err)
			home := filepath.Join(t.TempDir(), "again")
			back := func() result {
				return s.runWith(t, home, made.Code+"\n", "join", liar.Origin, "--recover", "-", "--device", "tablet")
			}
			liar.lies(row.lie(lost.Profile.Settings.Account))
			if got := back(); got.status != 1 || !matchesText(row.says, got.err) || liar.tells() == 0 {
				t.Errorf("%+v", got)
			}
			liar.lies(nil)
			if got := back(); got.status != 0 {
				t.Errorf("when the hub is honest again: %+v", got)
			}
		})
	}
	// A backup of the far future could not be replaced before then.
	liar := newLiar(t, s.Hall)
	home := s.home(t, "alice", liar.Origin)
	liar.lies(of("recovery.state", func(s *said) []*said { return []*said{s.with([]byte(`{"made":"2099-01-01T00:00:00Z"}`))} }))
	got := s.run(t, home, "recovery")
	if got.status != 1 || !strings.Contains(got.err, "the hub says that your backup was made in the future; check both clocks") {
		t.Errorf("%+v", got)
	}
	liar.lies(nil)
	if got := s.run(t, home, "recovery"); got.status != 0 {
		t.Errorf("when the hub is honest again: %+v", got)
	}
}

func toTheTerminal(t *testing.T, s *stage) {
	t.Helper()
	liar := newLiar(t, s.Hall)
	home := s.home(t, "bob", liar.Origin)
	liar.lies(func(one *said) []*said {
		_ = one.line.toMember(&frame{verb: "-ERR", line: "-ERR 'Permissions Violation for Publish to \x1b]0;owned\x07'"})
		return []*said{one}
	})
	read, write, err := os.Pipe()
	must(t, err)
	stderr := os.Stderr
	os.Stderr = write
	got := s.run(t, home, "people")
	os.Stderr = stderr
	must(t, write.Close())
	shown, err := io.ReadAll(read)
	must(t, err)
	if got.status != 0 || len(shown) != 0 {
		t.Errorf("%+v, on the terminal %q", got, shown)
	}
	// In a room it is a problem, and cleaned like all that is shown.
	got = s.runWith(t, home, "", "chat", "lounge")
	if strings.Contains(got.err+got.out, "\x1b") {
		t.Errorf("%+v", got)
	}
}
