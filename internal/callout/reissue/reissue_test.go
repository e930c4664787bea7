package reissue_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout/reissue"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is an account with an old user, who may do everything, and what is needed to change
// that.
type desk struct {
	*natstest.Company
	t   *testing.T
	old *keyfile.Creds
	sys *nats.Conn
}

func open(t *testing.T, options natstest.CompanyOptions) *desk {
	t.Helper()
	options.NoCallout = true
	d := &desk{Company: natstest.StartCompany(t, options), t: t}
	var err error
	if d.old, err = keyfile.ReadCreds(d.User(d.APP1, "joe", nil)); err != nil {
		t.Fatal(err)
	}
	if d.sys, err = d.Connect(d.Path("sys.creds")); err != nil {
		t.Fatal(err)
	}
	return d
}

// narrow is what the new creds have: less than everything.
func narrow(claims *jwt.UserClaims) {
	claims.Pub.Allow.Add("services.>")
	claims.Sub.Allow.Add("_INBOX_" + claims.Subject + ".>")
}

func (d *desk) options() reissue.Options {
	return reissue.Options{
		Old: d.old.Claims, Signer: d.APP1.Signer, Operator: d.Operator, Change: narrow, Servers: len(d.Servers),
		Keep: func(creds []byte) error { return os.WriteFile(d.Path("new.creds"), creds, 0o600) },
	}
}

// refused reports whether the old creds are refused.
func (d *desk) refused() bool {
	nc, err := d.Connect(d.Path("joe.creds"))
	if err == nil {
		nc.Close()
		return false
	}
	return errors.Is(err, nats.ErrAuthorization)
}

func TestReissuedCredsInvalidateTheOldOnes(t *testing.T) {
	for _, number := range []int{1, 3} {
		d := open(t, natstest.CompanyOptions{Servers: number})
		live, err := d.Connect(d.Path("joe.creds"))
		if err != nil {
			t.Fatal(err)
		}
		other, err := d.Connect(d.Path("app1.creds"))
		if err != nil {
			t.Fatal(err)
		}
		made, err := reissue.Reissue(natstest.Within(t), d.sys, d.options())
		if err != nil || made.Servers != number {
			t.Fatalf("%+v, %v", made, err)
		}
		natstest.Eventually(t, "the live connection is closed", live.IsClosed)
		natstest.Eventually(t, "the old creds are refused", d.refused)
		if !other.IsConnected() {
			t.Error("another user's connection is closed")
		}
		fresh, err := d.Connect(d.Path("new.creds"), nats.CustomInboxPrefix("_INBOX_"+made.Claims.Subject))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Subscribe("services.greet", func(msg *nats.Msg) { _ = msg.Respond([]byte("hello")) }); err != nil {
			t.Fatal(err)
		}
		if err := other.FlushTimeout(natstest.Patience); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, "the new creds can ask", func() bool {
			answer, err := fresh.Request("services.greet", nil, time.Second)
			return err == nil && string(answer.Data) == "hello"
		})
		if err := fresh.Publish("elsewhere", nil); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, "the new creds have fewer rights", func() bool { return errors.Is(fresh.LastError(), nats.ErrPermissionViolation) })
		if made.Claims.Name != "joe" || made.Claims.Subject == d.old.Claims.Subject {
			t.Errorf("%+v", made.Claims)
		}
		fresh.Close()
		live.Close()
		other.Close()
		d.sys.Close()
	}
}

func TestNothingIsRevokedBeforeTheNewCredsAreKept(t *testing.T) {
	d := open(t, natstest.CompanyOptions{})
	full := errors.New("the disk is full")
	o := d.options()
	o.Keep = func([]byte) error { return full }
	if _, err := reissue.Reissue(natstest.Within(t), d.sys, o); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	for name, change := range map[string]func(*reissue.Options){
		"the key of another account": func(o *reissue.Options) { o.Signer = d.APP2.Signer },
		"the key of an operator whom servers do not trust": func(o *reissue.Options) {
			var err error
			if o.Operator, err = nkeys.CreateOperator(); err != nil {
				t.Fatal(err)
			}
		},
		"no operator": func(o *reissue.Options) { o.Operator = d.APP1.Signer },
		"an expired time": func(o *reissue.Options) {
			o.Change = func(claims *jwt.UserClaims) { claims.Expires = time.Now().Add(-time.Minute).Unix() }
		},
		"permissions beside a scope": func(o *reissue.Options) { o.Signer = d.APP1.Scoped },
	} {
		o := d.options()
		change(&o)
		if made, err := reissue.Reissue(natstest.Within(t), d.sys, o); err == nil {
			t.Errorf("%s: %+v", name, made)
		}
	}
	stranger, err := d.Connect(d.Path("app2.creds"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reissue.Reissue(natstest.Within(t), stranger, d.options()); !fault.Is(err, fault.Refused) {
		t.Errorf("no creds of the system account: %v", err)
	}
	if d.refused() {
		t.Error("the old creds are refused, and nothing was done")
	}
	if _, err := reissue.Reissue(natstest.Within(t), d.sys, d.options()); err != nil {
		t.Error(err)
	}
	natstest.Eventually(t, "the old creds are refused", d.refused)
	if _, err := d.Connect(d.Path("new.creds")); err != nil {
		t.Error(err)
	}
}

// TestARevocationRightAfterAnotherChangeCounts: of two JWTs of an account that are issued in
// one second, servers that compare what they have may keep the first.
func TestARevocationRightAfterAnotherChangeCounts(t *testing.T) {
	d := open(t, natstest.CompanyOptions{})
	for _, tag := range []string{"one", "two"} {
		old, err := keyfile.ReadCreds(d.User(d.APP1, "joe", nil))
		if err != nil {
			t.Fatal(err)
		}
		d.Push(d.APP1, func(claims *jwt.AccountClaims) { claims.Tags.Add(tag) })
		o := d.options()
		o.Old = old.Claims
		if _, err := reissue.Reissue(natstest.Within(t), d.sys, o); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, "the old creds are refused", d.refused)
		answer, err := d.sys.Request("$SYS.REQ.ACCOUNT."+d.APP1.ID+".CLAIMS.LOOKUP", nil, natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		now, err := jwt.DecodeAccountClaims(string(answer.Data))
		if err != nil || now.IssuedAt <= d.APP1.Claims.IssuedAt || now.Revocations[old.Claims.Subject] == 0 {
			t.Errorf("%+v, %v; issued at %d before", now, err, d.APP1.Claims.IssuedAt)
		}
	}
}
