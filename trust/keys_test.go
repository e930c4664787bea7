package trust_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/trust"
)

var kinds = []trust.Kind{trust.Operator, trust.Account, trust.Device}

func TestAKeyComesBackFromItsText(t *testing.T) {
	for _, kind := range kinds {
		pair := trust.NewKeyPair(kind)
		text := pair.Public().Text(kind)
		if text != pair.String() || text[0] != byte(kind) || len(text) != 56 {
			t.Errorf("kind %c: the text is %s, the pair says %s", kind, text, pair)
		}
		key, err := trust.ParsePublicKey(kind, text)
		if err != nil || key != pair.Public() {
			t.Errorf("kind %c: %v, %v", kind, key, err)
		}
	}
}

func TestAKeyPairComesBackFromItsSeed(t *testing.T) {
	for _, kind := range kinds {
		pair := trust.NewKeyPair(kind)
		again, err := trust.ParseSeed(kind, pair.Seed())
		if err != nil {
			t.Fatal(err)
		}
		if again.Public() != pair.Public() || again.Sign([]byte("m")) != pair.Sign([]byte("m")) {
			t.Errorf("kind %c: another key came back", kind)
		}
		text, err := pair.NKey().PublicKey()
		if err != nil || text != pair.String() {
			t.Errorf("kind %c: as an nkey it is %s, %v", kind, text, err)
		}
	}
}

func TestASeedOfAnotherKindIsRefused(t *testing.T) {
	seed := trust.NewKeyPair(trust.Account).Seed()
	for name, wrong := range map[string][]byte{
		"another kind": trust.NewKeyPair(trust.Device).Seed(),
		"an xkey":      trust.NewXKey().Seed(),
		"a public key": []byte(trust.NewKeyPair(trust.Account).String()),
		"cut short":    seed[:len(seed)-2],
		"one letter":   []byte("S"),
		"nothing":      nil,
	} {
		if _, err := trust.ParseSeed(trust.Account, wrong); !errors.Is(err, trust.ErrKey) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), string(wrong)) && len(wrong) > 1 {
			t.Errorf("%s: the error shows the seed", name)
		}
	}
}

func TestAPrintedKeyPairShowsNoSecret(t *testing.T) {
	pair := trust.NewKeyPair(trust.Device)
	for _, format := range []string{"%v", "%s"} {
		if text := fmt.Sprintf(format, pair); text != pair.String() {
			t.Errorf("%s prints %q", format, text)
		}
	}
}

// aliases are other texts that a lenient decoder takes for the same key.
func aliases(text string) map[string]string {
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", text[len(text)-1])
	return map[string]string{
		"a line break inside":    text[:20] + "\n" + text[20:],
		"a line break behind":    text + "\n",
		"a carriage return":      text[:1] + "\r" + text[1:],
		"a space behind":         text + " ",
		"lower case":             strings.ToLower(text),
		"padding":                text + "======",
		"one character more":     text + "A",
		"one character less":     text[:len(text)-1],
		"another last character": text[:len(text)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[last^1]),
		"nothing":                "",
	}
}

func TestAKeyHasOneText(t *testing.T) {
	for _, kind := range kinds {
		for name, alias := range aliases(trust.NewKeyPair(kind).String()) {
			if _, err := trust.ParsePublicKey(kind, alias); !errors.Is(err, trust.ErrKey) {
				t.Errorf("kind %c, %s: %v", kind, name, err)
			}
		}
	}
	for name, alias := range aliases(trust.NewXKey().String()) {
		if err := trust.CheckXKey(alias); !errors.Is(err, trust.ErrKey) {
			t.Errorf("kind X, %s: %v", name, err)
		}
		if _, err := trust.Box(alias, "share", nil, []byte("m")); err == nil {
			t.Errorf("kind X, %s: sealed to it", name)
		}
	}
}

func TestAKeyOfAnotherKindIsRefused(t *testing.T) {
	key := trust.NewKeyPair(trust.Device).Public()
	for _, want := range kinds {
		for _, is := range kinds {
			_, err := trust.ParsePublicKey(want, key.Text(is))
			if is != want && !errors.Is(err, trust.ErrKey) {
				t.Errorf("%c taken for %c: %v", is, want, err)
			}
		}
		if err := trust.CheckXKey(key.Text(want)); !errors.Is(err, trust.ErrKey) {
			t.Errorf("%c taken for X: %v", want, err)
		}
		if _, err := trust.ParsePublicKey(want, trust.NewXKey().String()); !errors.Is(err, trust.ErrKey) {
			t.Errorf("X taken for %c: %v", want, err)
		}
	}
}

func TestAMistypedKeyIsRefused(t *testing.T) {
	text := trust.NewKeyPair(trust.Account).String()
	for i := 1; i < len(text); i++ { // each other character in turn, by the next of the alphabet
		next := byte('A')
		if text[i] >= 'A' && text[i] < 'Z' {
			next = text[i] + 1
		}
		wrong := text[:i] + string(next) + text[i+1:]
		if _, err := trust.ParsePublicKey(trust.Account, wrong); !errors.Is(err, trust.ErrKey) {
			t.Errorf("character %d mistyped: %v", i, err)
		}
	}
}

// A text with a good checksum can still hold fewer or more bytes than a key has.
func TestAKeyOfAnotherLengthIsRefused(t *testing.T) {
	for _, length := range []int{0, 1, 31, 33, 64} {
		text, err := nkeys.Encode(nkeys.PrefixByteAccount, make([]byte, length))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.ParsePublicKey(trust.Account, string(text)); !errors.Is(err, trust.ErrKey) {
			t.Errorf("%d bytes: %v", length, err)
		}
		if text, err = nkeys.Encode(nkeys.PrefixByteCurve, make([]byte, length)); err != nil {
			t.Fatal(err)
		}
		if err := trust.CheckXKey(string(text)); !errors.Is(err, trust.ErrKey) {
			t.Errorf("xkey of %d bytes: %v", length, err)
		}
	}
}

func TestTheAbsentKeyIsZero(t *testing.T) {
	if !(trust.PublicKey{}).IsZero() || trust.NewKeyPair(trust.Device).Public().IsZero() {
		t.Error("IsZero is wrong about a key")
	}
}

func TestALabelBeginsWhatNoLoginCanHold(t *testing.T) {
	if got, want := hex.EncodeToString(trust.Label("event")), "ff"+hex.EncodeToString([]byte("keyhall/event/v1"))+"00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	a, b := trust.Label("box"), trust.Label("box")
	_ = append(a, 'x')
	if _ = append(b, 'y'); &a[0] == &b[0] {
		t.Error("two labels share memory")
	}
}
