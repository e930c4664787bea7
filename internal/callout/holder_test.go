package callout_test

import (
	"errors"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

func TestAHolderProvesTheKeyThatItNames(t *testing.T) {
	const nonce = "a-nonce-of-a-server"
	ada, eve := newDevice(t), newDevice(t)
	for what, row := range map[string]struct {
		user      string
		signature string
		rest      string
		code      fault.Code
		wrong     bool
	}{
		"with rooms":             {"rooms " + ada.public + " a,b c", ada.sign(t, nonce), "a,b c", "", false},
		"without":                {"rooms " + ada.public, ada.sign(t, nonce), "", "", false},
		"another's signature":    {"rooms " + ada.public, eve.sign(t, nonce), "", fault.Refused, true},
		"another nonce":          {"rooms " + ada.public, ada.sign(t, "another-nonce-than-this"), "", fault.Refused, true},
		"no signature":           {"rooms " + ada.public, "", "", fault.Refused, true},
		"no key":                 {"rooms", ada.sign(t, nonce), "", fault.Malformed, false},
		"a key in two lines":     {"rooms " + ada.public[:5] + "\n" + ada.public[5:], ada.sign(t, nonce), "", fault.Malformed, false},
		"a key and a bit more":   {"rooms " + ada.public + "A", ada.sign(t, nonce), "", fault.Malformed, false},
		"a wildcard":             {"rooms *", ada.sign(t, nonce), "", fault.Malformed, false},
		"spaces before the key":  {"rooms  " + ada.public, ada.sign(t, nonce), "", fault.Malformed, false},
		"an account for the key": {"rooms A" + ada.public[1:], ada.sign(t, nonce), "", fault.Malformed, false},
	} {
		request := callout.Request{User: row.user, Nonce: nonce, Signature: row.signature}
		key, rest, err := request.Holder()
		if fault.CodeOf(err) != row.code || errors.Is(err, callout.ErrWrong) != row.wrong || rest != row.rest || err == nil && key != ada.public {
			t.Errorf("%s: %q, %q, %v", what, key, rest, err)
		}
		if !request.Says("rooms") || request.Says("room") || request.Says(row.user) && strings.Contains(row.user, " ") {
			t.Errorf("%s: its first word is not rooms", what)
		}
	}
}
