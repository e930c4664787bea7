package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// company is an operator, and a NATS server that lets in whom its accounts let in.
type company struct {
	operator *trust.KeyPair
	accounts *natsserver.MemAccResolver
	url      string
}

func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{operator: trust.NewKeyPair(trust.Operator), accounts: new(natsserver.MemAccResolver)}
	claims := jwt.NewOperatorClaims(c.operator.String())
	if _, err := claims.Encode(c.operator.NKey()); err != nil {
		t.Fatal(err)
	}
	server := natstest.Start(t, &natsserver.Options{
		TrustedOperators: []*jwt.OperatorClaims{claims}, AccountResolver: c.accounts,
	})
	c.url = server.ClientURL()
	return c
}

// admit has the operator vouch for an account, and writes its token.
func (c *company) admit(t *testing.T, account, path string) {
	t.Helper()
	claims := jwt.NewAccountClaims(account)
	text, err := claims.Encode(c.operator.NKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.accounts.Store(account, text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What keygen makes logs in where the account is known, and is believed on an operator's
// word where the account's own token comes with it.
func TestAnAccountOfAnOperatorPublishesAndIsBelieved(t *testing.T) {
	c, dir := newCompany(t), t.TempDir()
	home := filepath.Join(dir, "alice")
	creds, token := filepath.Join(home, credsFile), filepath.Join(dir, "account.jwt")
	made := run(t, dir, "event", "keygen", home)
	fields := strings.Fields(made.out)
	if made.status != exitOK || len(fields) < 2 {
		t.Fatalf("%+v", made)
	}
	account := fields[1]
	publish := func(flags ...string) outcome {
		return run(t, dir, append([]string{"event", "publish", "orders.new", "one pizza", "--server", c.url, "--creds", creds, "--json"}, flags...)...)
	}
	if got := publish(); got.status != exitFailed || !strings.Contains(got.err, "does not let you in with "+creds) {
		t.Errorf("before it is admitted: %+v", got)
	}
	c.admit(t, account, token)
	alone, vouched := publish(), publish("--account-token", token)
	if alone.status != exitOK || vouched.status != exitOK {
		t.Fatalf("%+v\n%+v", alone, vouched)
	}
	verify := func(event, key string) outcome {
		return runWith(t, dir, strings.NewReader(event), "event", "verify", "-", "--trust", key)
	}
	for name, row := range map[string]struct {
		event, key string
		status     int
	}{
		"its own word":                {alone.out, account, exitOK},
		"its own, and the operator's": {vouched.out, account, exitOK},
		"the operator's":              {vouched.out, c.operator.String(), exitOK},
		"nobody's":                    {alone.out, c.operator.String(), exitFailed},
		"another operator's":          {vouched.out, trust.NewKeyPair(trust.Operator).String(), exitFailed},
	} {
		if got := verify(row.event, row.key); got.status != row.status {
			t.Errorf("on the word of %s: %+v", name, got)
		}
	}
	if got := publish("--account-token", creds); got.status != exitFailed || strings.Contains(got.err, "SU") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("with another file: %+v", got)
	}
}

func TestKeygenLeavesNothingBehindWhenItCannotGoOn(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{filepath.Join(dir, "new", "a"): nil, filepath.Join(dir, "new", "no", "b"): nil}
	if err := writeKeys(filepath.Join(dir, "new"), files); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := writeKeys(dir, nil); err == nil {
		t.Error("a folder that is there was taken")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("and is gone: %v", err)
	}
}
