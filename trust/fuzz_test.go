package trust_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/trust"
)

// mustMatch fails unless err is or wraps want.
func mustMatch(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("unexpected error: %v", err)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for _, kind := range kinds {
		text := trust.PublicKey{1, 2, 3}.Text(kind)
		f.Add(byte(kind), text)
		for _, alias := range aliases(text) {
			f.Add(byte(kind), alias)
		}
	}
	f.Add(byte('X'), trust.NewXKey().String())
	f.Fuzz(func(t *testing.T, letter byte, text string) {
		kind := trust.Kind(letter)
		key, err := trust.ParsePublicKey(kind, text)
		if err != nil {
			mustMatch(t, err, trust.ErrKey)
			return
		}
		if again := key.Text(kind); again != text {
			t.Fatalf("%q comes out as %q", text, again)
		}
	})
}

func FuzzParseSeed(f *testing.F) {
	f.Add(trust.NewKeyPair(trust.Device).Seed())
	f.Add(trust.NewXKey().Seed())
	f.Add([]byte(trust.NewKeyPair(trust.Device).String()))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, seed []byte) {
		if pair, err := trust.ParseSeed(trust.Device, seed); err == nil {
			if again, err := trust.ParseSeed(trust.Device, pair.Seed()); err != nil || again.Public() != pair.Public() {
				t.Fatalf("another key came back, %v", err)
			}
		} else {
			mustMatch(t, err, trust.ErrKey)
		}
		if key, err := trust.ParseXKeySeed(seed); err == nil {
			if err := trust.CheckXKey(key.String()); err != nil {
				t.Fatal(err)
			}
		} else {
			mustMatch(t, err, trust.ErrKey)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, text := range []string{
		"", strings.Repeat("a", 26), strings.Repeat("7", 26), strings.Repeat("a", 25) + "4",
		strings.Repeat("a", 25) + "b", strings.Repeat("a", 13) + "\n" + strings.Repeat("a", 13),
		strings.Repeat("A", 26), "..", trust.NewID(),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := trust.ParseID(text)
		if err != nil {
			mustMatch(t, err, trust.ErrID)
			return
		}
		if again := trust.FormatID(id); again != text {
			t.Fatalf("%q comes out as %q", text, again)
		}
	})
}

func FuzzParseInvite(f *testing.F) {
	code := trust.NewInvite(hubID, trust.PublicKey{1}).Code()
	for _, text := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " kh-", "kh-aaaa", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		invite, err := trust.ParseInvite(text)
		if err != nil {
			mustMatch(t, err, trust.ErrInvite)
			return
		}
		again, err := trust.ParseInvite(invite.Code())
		if err != nil || *again != *invite {
			t.Fatalf("%q comes out as %q, %v", text, invite.Code(), err)
		}
		invite.Key()
	})
}

func FuzzParseDeviceToken(f *testing.F) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	plain := claims(f, identity, device)
	text := signJWT(f, identity, plain)
	inner(plain)["bearer_token"] = true
	for _, seed := range []string{
		text, text + "\n", signVersion1(f, identity, claims(f, identity, device)), signJWT(f, identity, plain),
		signJWT(f, identity, "null"), signJWT(f, identity, `{"nats":{"type":"user","version":2}}`), "", "a.b.c", "..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := trust.ParseDeviceToken(text)
		if err != nil {
			mustMatch(t, err, trust.ErrToken)
			return
		}
		life := token.Expires.Sub(token.Issued)
		if token.Account.IsZero() || token.Device.IsZero() || !trust.IsName(token.Name) || life <= 0 || life > trust.MaxTokenLife {
			t.Fatalf("%+v", token)
		}
		if err := token.GoodAt(token.Expires.Add(time.Second)); err == nil {
			t.Fatal("good after its end")
		}
	})
}

// FuzzSignedDeviceToken signs whatever the fuzzer makes of a payload: the signature alone
// keeps FuzzParseDeviceToken from what lies behind it.
func FuzzSignedDeviceToken(f *testing.F) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	f.Add("laptop", int64(1700000000), int64(1700086400), `"deny":["_INBOX.>","_R_.>"]`)
	f.Add("Laptop", int64(-1), int64(1<<62), `"deny":[]`)
	f.Add("", int64(0), int64(0), `"allow":["a"],"allow":["b"]`)
	f.Fuzz(func(t *testing.T, name string, issued, expires int64, publish string) {
		m := claims(t, identity, device)
		m["name"], m["iat"], m["exp"] = name, issued, expires
		var pub any = publish
		inner(m)["pub"] = pub
		token, err := trust.ParseDeviceToken(signJWT(t, identity, m))
		if err == nil {
			t.Fatalf("permissions that are no object: %+v", token)
		}
		inner(m)["pub"] = map[string]any{"allow": []string{"hub.>", "from.>", "live.*.*", "own.>"}, "deny": []string{"_INBOX.>", "_R_.>"}}
		token, err = trust.ParseDeviceToken(signJWT(t, identity, m))
		if err != nil {
			mustMatch(t, err, trust.ErrToken)
		} else if token.Name != name || token.Issued.Unix() != issued || token.Expires.Unix() != expires {
			t.Fatalf("%+v", token)
		}
	})
}

func FuzzParseHub(f *testing.F) {
	identity, signing := trust.NewKeyPair(trust.Operator), trust.NewKeyPair(trust.Operator)
	f.Add(operatorJWT(f, identity, signing.String()))
	f.Add(operatorJWT(f, identity))
	f.Add(operatorJWT(f, identity, "OAAA"))
	f.Add(signJWT(f, identity, `{"iss":"`+identity.String()+`","sub":"`+identity.String()+`","nats":{"type":"operator","version":2}}`))
	f.Add("")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		hub, err := trust.ParseHub(text)
		if err != nil {
			mustMatch(t, err, trust.ErrHub)
			return
		}
		if hub.ID != hub.Key.Text(trust.Operator) {
			t.Fatalf("%+v", hub)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, text := range []string{
		"alice", "ALICE", "Straße", "Ａｌｉｃｅ", "e\u0301", "漢字かな", "한글", "ㄅ", "аlice", "*", ">", "a.b", "a/b", `a\b`, " ",
		"\x00", "\xff", "α\u0345\u0301", "\u1fb4", "İ", "ſ", "ﷺ", "\u0301", "a\u0315\u0300", strings.Repeat("ﬃ", 11), "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkName(t, text)
	})
}

func FuzzParseCanonical(f *testing.F) {
	for _, data := range []string{
		plainLetter, "{}", "null", "", plainLetter + "\n", strings.Replace(plainLetter, "hello", `\u2028`, 1),
		strings.Replace(plainLetter, "hello", `\\u2028`, 1), strings.Replace(plainLetter, "hello", "\u2028", 1),
		strings.Replace(plainLetter, `"AQI="`, `"AQI=","when":"2026-11-22T14:08:50Z","note":"n","parts":[{"name":"x"}]`, 1),
		`{"text":"","text":"","count":0,"yes":false,"data":""}`, `{"Text":"","count":0,"yes":false,"data":""}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read letter
		if err := trust.ParseCanonical(data, &read); err != nil {
			mustMatch(t, err, trust.ErrCanonical)
			return
		}
		again, err := trust.Canonical(read)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%s comes out as %s, %v", data, again, err)
		}
		var twice letter
		if err := trust.ParseCanonical(again, &twice); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(read, twice); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzUnbox(f *testing.F) {
	// A key that opens nothing but this box, the same in all workers of a fuzz run.
	key, err := trust.ParseXKeySeed([]byte("SXABRBREO62NBRGJ4OQACL3C6AZ4F7ZKMUKFQ3HYADD6EBT74PTREFL52A"))
	if err != nil {
		f.Fatal(err)
	}
	box := unhex(f, "1d4461de132222eeda4c3af093646e95cc7d08e56a659671c5efbc737b92dc1f50c696fe1889e1e44ced10fbf22fa50bdd")
	if plaintext, err := trust.Unbox(key, "share", []byte("c"), box); err != nil || string(plaintext) != "m" {
		f.Fatalf("%q, %v", plaintext, err)
	}
	f.Add(box)
	f.Add(box[:32])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		plaintext, err := trust.Unbox(key, "share", []byte("c"), data)
		if err != nil {
			mustMatch(t, err, trust.ErrBox)
		} else if !bytes.Equal(data, box) {
			t.Fatalf("it opens to %q", plaintext)
		}
	})
}

func FuzzCheckXKey(f *testing.F) {
	f.Add(trust.NewXKey().String())
	f.Add(trust.NewXKey().String() + "\n")
	f.Add(trust.NewKeyPair(trust.Account).String())
	f.Add("XAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		box, err := trust.Box(text, "share", nil, []byte("m"))
		if checked := trust.CheckXKey(text); checked != nil {
			mustMatch(t, checked, trust.ErrKey)
		} else if err != nil || len(box) != 49 || len(text) != 56 || strings.ToUpper(text) != text {
			t.Fatalf("%q is an xkey, and a box for it has %d bytes: %v", text, len(box), err)
		}
	})
}

func FuzzOpenRecovery(f *testing.F) {
	body := bytes.Repeat([]byte{1}, 37)
	check := sha256.Sum256(body)
	lower := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	code, err := trust.ParseRecovery("kr-" + lower.EncodeToString(append(body, check[:3]...)))
	if err != nil {
		f.Fatal(err)
	}
	blob := code.Seal(hubID, []byte("backup"))
	f.Add(hubID, blob)
	f.Add("", blob)
	f.Add(hubID, blob[:27])
	f.Add(hubID, []byte{})
	f.Fuzz(func(t *testing.T, hub string, data []byte) {
		plaintext, err := code.Open(hub, data)
		if err != nil {
			mustMatch(t, err, trust.ErrBackup)
		} else if string(plaintext) != "backup" || hub != hubID || len(data) != len(blob) {
			t.Fatalf("%x opens to %q at %q", data, plaintext, hub)
		}
	})
}
