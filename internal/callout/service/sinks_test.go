package service_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestDecisionsAreWrittenDownAndCounted(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{JetStream: true})
	p.User(p.APP1, "audit", nil)
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml", "audit: {creds: audit.creds, max_age: 24h, max_bytes: 1000000}\n", 0o600)
	p.said.Metrics = "127.0.0.1:0"
	s := p.start()
	p.mustEnter("alice", "alice")
	if _, err := p.login("bob", "secret guess"); err == nil {
		t.Fatal("a wrong password is let in")
	}

	nc, err := p.Connect(p.Path("app1.creds"))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "two decisions are stored", func() bool {
		stream, err := js.Stream(natstest.Within(t), audit.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 2
	})

	for _, want := range []string{`backend="users",outcome="allowed"} 1`, `backend="users",outcome="wrong"} 1`, "in_flight 0"} {
		natstest.Eventually(t, "the metrics hold "+want, func() bool { return strings.Contains(metricsOf(t, s.Ready().Metrics), want) })
	}
}

func metricsOf(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheAuditCanBeAFile(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml", "audit: {file: audit.jsonl}\n", 0o600)
	p.start()
	p.mustEnter("alice", "alice")
	natstest.Eventually(t, "the decision is in the file", func() bool {
		text, err := os.ReadFile(p.Path("audit.jsonl"))
		return err == nil && bytes.Contains(text, []byte(`"alice"`))
	})
}

// With a limited user of the system account, who is taken from the file is out at once.
func TestWhoIsTakenFromTheFileIsClosed(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{Servers: 3})
	p.said.SystemCreds = p.User(p.SYS, "limited", func(c *jwt.UserClaims) {
		c.Pub.Allow.Add(registry.SystemPublishes...)
		c.Sub.Allow.Add(registry.SystemSubscribes...)
		c.Sub.Allow.Add("_INBOX.>")
	})
	p.start()
	alice, bob := p.mustEnter("alice", "alice"), p.mustEnter("bob", "bob")
	p.write("users.json", withCarol, 0o600)
	natstest.Eventually(t, "bob is out", bob.IsClosed)
	if alice.IsClosed() {
		t.Error("alice is out, and has lost nothing")
	}
	p.mustEnter("carol", "carol")
}

// Where AUTH has JetStream nothing has to be said for decisions to be kept, and where it has
// none, that is said.
func TestDecisionsAreKeptWithoutBeingAskedFor(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{JetStream: true, Account: func(name string, claims *jwt.AccountClaims) {
		if name == "AUTH" {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: 100 << 20, Streams: 4, Consumer: 8}
		}
	}})
	p.start()
	p.mustEnter("alice", "alice")
	nc, err := p.Connect(p.Path("auth.creds"))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the decision is stored", func() bool {
		stream, err := js.Stream(natstest.Within(t), audit.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 1
	})

	other := newPlace(t, natstest.CompanyOptions{})
	other.start()
	other.mustTell("decisions are not kept")
	other.env["KEYHALL_CALLOUT_CONFIG"] = other.write("callout.yaml", "audit: {off: true}\n", 0o600)
	other.lines = nil
	other.start()
	if other.told("decisions are not kept") {
		t.Error("who wants no audit is warned of none")
	}
}
