package keyfile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
	"keyhall.dev/keyhall/internal/natstest"
)

func newPair(t testing.TB, create func() (nkeys.KeyPair, error)) (seed, public string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return string(natstest.Seed(t, pair)), natstest.PublicKey(t, pair)
}

func TestSeedsAreReadAsTheToolsWriteThem(t *testing.T) {
	xkey, xpublic := newPair(t, nkeys.CreateCurveKeys)
	account, apublic := newPair(t, nkeys.CreateAccount)
	for _, text := range []string{
		xkey, xkey + "\n", xkey + "\n" + xpublic + "\n", xpublic + "\r\n" + xkey + "\r\n",
		"-----BEGIN XKEY SEED-----\n" + xkey + "\n------END XKEY SEED------\n",
	} {
		pair, err := keyfile.ParsePair("auth.xk", []byte(text), nkeys.PrefixByteCurve)
		if err != nil || natstest.PublicKey(t, pair) != xpublic {
			t.Errorf("%q: %v", strings.ReplaceAll(text, xkey, "SX"), err)
		}
	}
	for _, text := range []string{account, "\n" + account + "\n\n", "-----BEGIN ACCOUNT NKEY SEED-----\n" + account + "\n------END ACCOUNT NKEY SEED------\n"} {
		pair, err := keyfile.ParsePair("AUTH.nk", []byte(text), nkeys.PrefixByteAccount)
		if err != nil || natstest.PublicKey(t, pair) != apublic {
			t.Errorf("%q: %v", strings.ReplaceAll(text, account, "SA"), err)
		}
	}
}

func TestWrongKeyFilesSayWhatTheyHoldAndWhatIsWanted(t *testing.T) {
	xkey, _ := newPair(t, nkeys.CreateCurveKeys)
	account, apublic := newPair(t, nkeys.CreateAccount)
	user, _ := newPair(t, nkeys.CreateUser)
	operator, _ := newPair(t, nkeys.CreateOperator)
	_, other := newPair(t, nkeys.CreateAccount)
	for text, want := range map[string]string{
		xkey:                     "f holds the seed of an xkey (SX…), and the seed of an account (SA…) is wanted",
		user:                     "the seed of a user (SU…)",
		operator:                 "the seed of an operator (SO…)",
		apublic:                  "holds the public key of an account (A…)",
		"":                       "holds nothing",
		"hello":                  "holds no key",
		"eyJ0eXAi.x.y":           "holds a token (JWT)",
		account + "\n" + account: "holds several seeds",
		account + "\n" + other:   "the public key of another one",
		account[:50]:             "holds no key",
	} {
		_, err := keyfile.ParsePair("f", []byte(text), nkeys.PrefixByteAccount)
		if err == nil || !strings.Contains(err.Error(), want) || !fault.Is(err, fault.Malformed) {
			t.Errorf("said %v, want %q", err, want)
		}
		for _, seed := range []string{xkey, account, user, operator} {
			if err != nil && strings.Contains(err.Error(), seed) {
				t.Error("a secret is shown")
			}
		}
	}
}

func TestASecretInThePlaceOfAFileNameIsNotRepeated(t *testing.T) {
	seed, _ := newPair(t, nkeys.CreateAccount)
	_, err := keyfile.Read(seed)
	if err == nil || strings.Contains(err.Error(), seed) || !strings.Contains(err.Error(), "that is a secret") {
		t.Error(err)
	}
}

func TestFilesThatOthersCanReadAreFound(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	path := filepath.Join(t.TempDir(), "key.nk")
	for mode, open := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true, 0o602: true} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		err := keyfile.CheckPrivate(path)
		if (err != nil) != open || open && !strings.Contains(err.Error(), "run chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCredsAreReadWhole(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, public := newPair(t, nkeys.CreateUser)
	token := natstest.Encode(t, jwt.NewUserClaims(public), account)
	text, err := jwt.FormatUserConfig(token, []byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := keyfile.ParseCreds("auth.creds", text)
	if err != nil || creds.Account() != natstest.PublicKey(t, account) || creds.Token != token || string(creds.Seed) != seed {
		t.Errorf("%+v, %v", creds, err)
	}
	another, _ := newPair(t, nkeys.CreateUser)
	for text, want := range map[string]string{
		token: "no user's seed", seed: "no user's token", "": "no user's token",
		strings.ReplaceAll(string(text), seed, another): "another user's than its seed",
	} {
		if _, err := keyfile.ParseCreds("auth.creds", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("said %v, want %q", err, want)
		}
	}
}

func FuzzParsePair(f *testing.F) {
	seed, public := newPair(f, nkeys.CreateCurveKeys)
	f.Add([]byte(seed + "\n" + public + "\n"))
	f.Add([]byte("-----BEGIN ACCOUNT NKEY SEED-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range []nkeys.PrefixByte{nkeys.PrefixByteCurve, nkeys.PrefixByteAccount} {
			pair, err := keyfile.ParsePair("f", text, kind)
			if err != nil {
				continue
			}
			if public := natstest.PublicKey(t, pair); nkeys.Prefix(public) != kind {
				t.Errorf("%s is no key of the kind that was wanted", public)
			}
		}
	})
}

func FuzzParseCreds(f *testing.F) {
	f.Add([]byte("-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n"))
	f.Add([]byte(""))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if creds, err := keyfile.ParseCreds("f", text); err == nil {
			_ = creds.Account()
		}
	})
}
