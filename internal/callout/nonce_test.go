package callout_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/callout"
)

const nonce = "zHV2MZAm1HPl9Q8" // of the form a NATS server sends

func TestASignatureOverTheNonceHolds(t *testing.T) {
	d := newDevice(t)
	if err := callout.VerifyNonce(d.public, nonce, d.sign(t, nonce)); err != nil {
		t.Error(err)
	}
}

func TestASignatureThatIsNotQuiteOneIsRefused(t *testing.T) {
	d, other, account := newDevice(t), newDevice(t), newServerKey(t)
	good := d.sign(t, nonce)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), raw...)
	flipped[10] ^= 1
	// The last character of 64 bytes carries two bits; the other four must be zero.
	loose := good[:len(good)-1] + string(nextInAlphabet(good[len(good)-1]))
	for name, c := range map[string]struct {
		key, nonce, sig string
		want            error
	}{
		"no signature":          {d.public, nonce, "", callout.ErrNoSignature},
		"no nonce":              {d.public, "", good, callout.ErrNoSignature},
		"other nonce":           {d.public, "zHV2MZAm1HPl9Q9", good, callout.ErrBadSignature},
		"other key":             {other.public, nonce, good, callout.ErrBadSignature},
		"flipped bit":           {d.public, nonce, base64.RawURLEncoding.EncodeToString(flipped), callout.ErrBadSignature},
		"short":                 {d.public, nonce, base64.RawURLEncoding.EncodeToString(raw[:63]), callout.ErrBadSignature},
		"long":                  {d.public, nonce, base64.RawURLEncoding.EncodeToString(append(raw, 0)), callout.ErrBadSignature},
		"padded":                {d.public, nonce, good + "==", callout.ErrBadSignature},
		"loose last bits":       {d.public, nonce, loose, callout.ErrBadSignature},
		"line break":            {d.public, nonce, good[:40] + "\n" + good[40:], callout.ErrBadSignature},
		"line break at end":     {d.public, nonce, good + "\r\n", callout.ErrBadSignature},
		"hex":                   {d.public, nonce, strings.Repeat("ab", 64), callout.ErrBadSignature},
		"no key":                {"", nonce, good, callout.ErrBadKey},
		"key of another kind":   {account.public, nonce, good, callout.ErrBadKey},
		"key in lower case":     {strings.ToLower(d.public), nonce, good, callout.ErrBadKey},
		"key and more":          {d.public + "A", nonce, good, callout.ErrBadKey},
		"key with a line break": {d.public[:9] + "\n" + d.public[9:], nonce, good, callout.ErrBadKey},
		"nonce of 0xFF":         {d.public, "\xffkeyhall/event/v1\x00", d.sign(t, "\xffkeyhall/event/v1\x00"), callout.ErrBadNonce},
		"nonce with a space":    {d.public, "zHV2MZAm 1HPl9Q8", d.sign(t, "zHV2MZAm 1HPl9Q8"), callout.ErrBadNonce},
		"nonce with a control":  {d.public, "zHV2MZAm\n1HPl9Q8", d.sign(t, "zHV2MZAm\n1HPl9Q8"), callout.ErrBadNonce},
		"nonce beyond ASCII":    {d.public, "zHV2MZAmé1HPl9Q8", d.sign(t, "zHV2MZAmé1HPl9Q8"), callout.ErrBadNonce},
		"nonce too short":       {d.public, "short", d.sign(t, "short"), callout.ErrBadNonce},
		"nonce too long":        {d.public, strings.Repeat("n", 129), d.sign(t, strings.Repeat("n", 129)), callout.ErrBadNonce},
	} {
		if err := callout.VerifyNonce(c.key, c.nonce, c.sig); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[(strings.IndexByte(alphabet, c)+1)%len(alphabet)]
}
