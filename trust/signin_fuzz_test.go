package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/trust"
)

func FuzzParseLink(f *testing.F) {
	code := trust.NewLink(hubID).Code()
	for _, seed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", " "), code[3:], code + "a", "kl", "kl-aaaa-aaaa-aaaa-aaa1", "", "kh-aaaa"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		link, err := trust.ParseLink(hubID, text)
		if err != nil {
			if !errors.Is(err, trust.ErrLink) || (len(text) > 8 && strings.Contains(err.Error(), text)) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := trust.ParseLink(hubID, link.Code())
		if err != nil || *again != *link || len(link.Code()) != 22 {
			t.Fatalf("%q is %q, %v", text, link.Code(), err)
		}
	})
}

func FuzzOpenAsk(f *testing.F) {
	link := trust.NewLink(hubID)
	good, err := link.SealAsk(trust.LinkAsk{Device: trust.NewKeyPair(trust.Device).String(), XKey: trust.NewXKey().String(), Name: "phone"})
	if err != nil {
		f.Fatal(err)
	}
	unnamed, err := link.SealAsk(trust.LinkAsk{Device: "U", XKey: "X", Name: "a b"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{good, unnamed, good[1:], good[:27], nil, make([]byte, 5000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ask, err := link.OpenAsk(data)
		if err != nil {
			mustMatch(t, err, trust.ErrLink)
		} else if !bytes.Equal(data, good) || ask.Name != "phone" {
			t.Fatalf("%x opens to %+v", data, ask)
		}
		if words := link.Words(data); len(strings.Fields(words)) != 4 {
			t.Fatalf("the words are %q", words)
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	link, key, identity := trust.NewLink(hubID), trust.NewXKey(), trust.NewKeyPair(trust.Account)
	token, err := trust.IssueDevice(identity, trust.NewKeyPair(trust.Device).Public(), "phone", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	ask := []byte("what was asked")
	seal := func(change func(*trust.LinkAnswer)) []byte {
		answer := trust.LinkAnswer{
			Account: identity.String(), Handle: "alice", Token: token.Text, XKeys: []string{string(key.Seed())}, Seq: 1, Head: strings.Repeat("ab", 32),
		}
		change(&answer)
		box, err := link.SealAnswer(ask, key.String(), answer)
		if err != nil {
			f.Fatal(err)
		}
		return box
	}
	good := seal(func(*trust.LinkAnswer) {})
	for _, seed := range [][]byte{
		good, good[1:], good[:47], nil, make([]byte, 20<<10), seal(func(a *trust.LinkAnswer) { a.Head = strings.Repeat("AB", 32) }),
		seal(func(a *trust.LinkAnswer) { a.XKeys = nil }), seal(func(a *trust.LinkAnswer) { a.Seq = 0 }), seal(func(a *trust.LinkAnswer) { a.Token = "x" }),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, got, err := link.OpenAnswer(key, ask, data)
		if err != nil {
			mustMatch(t, err, trust.ErrLink)
		} else if !bytes.Equal(data, good) || answer.Handle != "alice" || got.Text != token.Text {
			t.Fatalf("%x opens to %+v", data, answer)
		}
	})
}

// What a password yields is for one hub, one person and one salt; costs out of bounds are
// refused before anything is worked out.
func FuzzPassword(f *testing.F) {
	account := trust.NewKeyPair(trust.Account).Public()
	f.Add("alice", uint32(8192), uint32(1), []byte{})
	f.Add("", uint32(8192), uint32(1), []byte{1})
	f.Add("caf\u00e9", uint32(8191), uint32(1), make([]byte, 28))
	f.Add("x", uint32(1<<20+1), uint32(1), make([]byte, 27))
	f.Add("x", uint32(8192), uint32(0), []byte("blob"))
	f.Add("\xff", uint32(8192), uint32(17), []byte("blob"))
	f.Fuzz(func(t *testing.T, password string, memory, passes uint32, blob []byte) {
		cost := trust.PasswordCost{Memory: memory, Passes: passes}
		if cost.Check() == nil { // the cost alone is looked at: the work is not
			cost.Memory, cost.Passes = trust.MinPasswordMemory, 1
		}
		yields, err := trust.DerivePassword(hubID, password, cost)
		if err != nil {
			mustMatch(t, err, trust.ErrPassword)
			return
		}
		if text, err := yields.Open(hubID, account, yields.Seal(hubID, account, blob)); err != nil || !bytes.Equal(text, blob) {
			t.Fatalf("what was sealed opens to %x, %v", text, err)
		}
		if _, err := yields.Open(hubID, account, blob); err == nil {
			t.Fatal("anything opens")
		}
	})
}

func FuzzCheckSession(f *testing.F) {
	device, challenge := trust.NewKeyPair(trust.Device), [32]byte{1, 2, 3}
	good := trust.SignSession(device, hubID, challenge)
	f.Add(hubID, good[:])
	f.Add("", good[:])
	f.Add(hubID, good[1:])
	f.Add(hubID, []byte{})
	f.Fuzz(func(t *testing.T, hub string, sig []byte) {
		err := trust.CheckSession(device.Public(), hub, challenge, sig)
		if (err == nil) != (hub == hubID && bytes.Equal(sig, good[:])) {
			t.Fatalf("%q, %x: %v", hub, sig, err)
		}
		if err != nil {
			mustMatch(t, err, trust.ErrSession)
		}
	})
}

// Nothing of a secret is printed.
func TestPrintingWhatOpensShowsNothingOfIt(t *testing.T) {
	yields, err := trust.DerivePassword(hubID, "alice's own", trust.PasswordCost{Memory: trust.MinPasswordMemory, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	link := trust.NewLink(hubID)
	for _, secret := range []any{yields, &yields.Wrap, link, trust.NewPasskeyWrap(hubID, []byte("prf"), []byte("id"))} {
		text := fmt.Sprintf("%v %+v %#v %s", secret, secret, secret, secret)
		if len(text) > 200 || strings.Contains(text, "[") || strings.Contains(text, link.Code()) {
			t.Errorf("it shows %q", text)
		}
	}
}
