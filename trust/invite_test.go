package trust_test

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"testing"

	"keyhall.dev/keyhall/trust"
)

const hubID = "OADM7CSGQR3OGAGYNIDBDNHYYSJTNB4BH33UV6IKYQMHGEEPEIFOVVVZ"

func TestAnInviteComesBackFromItsCode(t *testing.T) {
	inviter := trust.NewKeyPair(trust.Account)
	invite := trust.NewInvite(hubID, inviter.Public())
	again, err := trust.ParseInvite(invite.Code())
	if err != nil {
		t.Fatal(err)
	}
	if *again != *invite || again.Code() != invite.Code() {
		t.Error("another invite came back")
	}
	sum := sha256.Sum256([]byte(hubID))
	if again.Hub != [16]byte(sum[:16]) || again.Hub != trust.Fingerprint(hubID) || again.Inviter != inviter.Public() {
		t.Errorf("hub %x, inviter %s", again.Hub, again.Inviter.Text(trust.Account))
	}
}

func TestAnInviteYieldsOneKey(t *testing.T) {
	invite := trust.NewInvite(hubID, trust.PublicKey{1})
	again, err := trust.ParseInvite(invite.Code())
	if err != nil {
		t.Fatal(err)
	}
	if string(invite.Key().Seed()) != string(again.Key().Seed()) || invite.Key().String()[0] != 'U' {
		t.Errorf("%s and %s", invite.Key(), again.Key())
	}
	if other := trust.NewInvite(hubID, trust.PublicKey{1}); other.Key().String() == invite.Key().String() {
		t.Error("two invites yield one key")
	}
}

// TestTheInviteKeyIsTheProtocols: the code and the key were computed from docs/protocol/keys.md
// apart from this program (testdata/vectors.py).
func TestTheInviteKeyIsTheProtocols(t *testing.T) {
	const (
		code = "kh-agv5komp-j2pxk4yt-ogvnve25-hvyqaaic-amcakbqh-baequcym-buha6ear-cijrifiw-c4mbsgq3-dqor4hya-aebagbaf-aydqqcik-bmga2dqp-ru5s47q"
		key  = "UBOBEDNYGLE5U4Z2GWTPDKN556TPPYI4BLCPXXC2ZUYNPMXXRB5CXBO4"
	)
	invite, err := trust.ParseInvite(code)
	if err != nil {
		t.Fatal(err)
	}
	if invite.Code() != code || invite.Key().String() != key {
		t.Errorf("%s yields %s, want %s", invite.Code(), invite.Key(), key)
	}
}

func TestAnInviteIsReadHoweverItWasTyped(t *testing.T) {
	code := trust.NewInvite(hubID, trust.PublicKey{1}).Code()
	for what, typed := range map[string]string{
		"upper case":             strings.ToUpper(code),
		"spaces around":          "  " + code + "\n",
		"spaces inside":          strings.ReplaceAll(code, "-", " - "),
		"a line break inside":    code[:30] + "\r\n" + code[30:],
		"dashes elsewhere":       "kh-" + strings.Join(strings.Split(strings.ReplaceAll(code[3:], "-", ""), ""), "-"),
		"no dashes but one":      "kh-" + strings.ReplaceAll(code[3:], "-", ""),
		"no-break spaces inside": strings.ReplaceAll(code[:3]+code[3:], "-", "-\u00a0"),
	} {
		if again, err := trust.ParseInvite(typed); err != nil || again.Code() != code {
			t.Errorf("%s: %q: %v", what, typed, err)
		}
	}
}

func TestAnInviteIsReadWithoutAnyDash(t *testing.T) {
	code := trust.NewInvite(hubID, trust.PublicKey{1}).Code()
	for _, typed := range []string{strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " ")} {
		if again, err := trust.ParseInvite(typed); err != nil || again.Code() != code {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// recode changes the bytes of an invite and puts the right check behind them.
func recode(t *testing.T, code string, change func(raw []byte) []byte) string {
	t.Helper()
	text := strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(code, "kh-"), "-", ""))
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	raw = change(raw[:len(raw)-4])
	check := sha256.Sum256(raw)
	text = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(raw, check[:4]...))
	return "kh-" + strings.ToLower(text)
}

func TestTextThatIsNoInviteIsRefused(t *testing.T) {
	code := trust.NewInvite(hubID, trust.PublicKey{1}).Code()
	if _, err := trust.ParseInvite(recode(t, code, func(raw []byte) []byte { return raw })); err != nil {
		t.Fatal(err)
	}
	typo := []byte(code)
	if typo[40]++; typo[40] < 'a' || typo[40] > 'z' {
		typo[40] = 'a'
	}
	for what, text := range map[string]string{
		"nothing":          "",
		"the prefix alone": "kh-",
		"no prefix":        code[3:],
		"a typo":           string(typo),
		"two swapped":      code[:4] + code[12:20] + code[11:12] + code[4:11] + code[20:],
		"a part missing":   code[:len(code)-9],
		"a part too many":  code + "-aaaaaaaa",
		"a 1 for an l":     code[:5] + "1" + code[6:],
		"another version":  recode(t, code, func(raw []byte) []byte { raw[0] = 2; return raw }),
		"version 0":        recode(t, code, func(raw []byte) []byte { raw[0] = 0; return raw }),
		"one byte more":    recode(t, code, func(raw []byte) []byte { return append(raw, 0) }),
		"one byte less":    recode(t, code, func(raw []byte) []byte { return raw[:len(raw)-1] }),
		"a long text":      "kh-" + strings.Repeat("a", 2000),
		"padding":          code + "=",
	} {
		if _, err := trust.ParseInvite(text); !errors.Is(err, trust.ErrInvite) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestATypoInAnyCharacterIsNoticed(t *testing.T) {
	code := trust.NewInvite(hubID, trust.PublicKey{1}).Code()
	for i := 3; i < len(code); i++ {
		if code[i] == '-' {
			continue
		}
		wrong := byte('a')
		if code[i] == 'a' {
			wrong = 'b'
		}
		if _, err := trust.ParseInvite(code[:i] + string(wrong) + code[i+1:]); !errors.Is(err, trust.ErrInvite) {
			t.Errorf("character %d: %v", i, err)
		}
	}
}
