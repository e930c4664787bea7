package trust_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/trust"
)

// operatorJWT is the JWT of an operator with signing keys.
func operatorJWT(t testing.TB, identity *trust.KeyPair, signing ...string) string {
	t.Helper()
	claims := jwt.NewOperatorClaims(identity.String())
	claims.SigningKeys = signing
	text, err := claims.Encode(identity.NKey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newHub(t testing.TB) (hub *trust.Hub, signing *trust.KeyPair) {
	t.Helper()
	signing = trust.NewKeyPair(trust.Operator)
	hub, err := trust.ParseHub(operatorJWT(t, trust.NewKeyPair(trust.Operator), signing.String()))
	if err != nil {
		t.Fatal(err)
	}
	return hub, signing
}

func TestAHubIsItsOperatorAndWhoSignsForIt(t *testing.T) {
	identity := trust.NewKeyPair(trust.Operator)
	first, second := trust.NewKeyPair(trust.Operator), trust.NewKeyPair(trust.Operator)
	hub, err := trust.ParseHub(operatorJWT(t, identity, first.String(), second.String()))
	if err != nil {
		t.Fatal(err)
	}
	if hub.ID != identity.String() || hub.Key != identity.Public() || len(hub.Signing) != 2 {
		t.Errorf("it is %+v", hub)
	}
	if !hub.Signs(first.Public()) || !hub.Signs(second.Public()) {
		t.Error("a signing key does not sign for it")
	}
	if hub.Signs(identity.Public()) || hub.Signs(trust.PublicKey{}) {
		t.Error("another key signs for it")
	}
}

func TestAnOperatorTokenOfSomebodyElseIsRefused(t *testing.T) {
	identity, other := trust.NewKeyPair(trust.Operator), trust.NewKeyPair(trust.Operator)
	foreign := jwt.NewOperatorClaims(identity.String())
	bySomebody, err := foreign.Encode(other.NKey())
	if err != nil {
		t.Fatal(err)
	}
	account := trust.NewKeyPair(trust.Account)
	own := operatorJWT(t, identity, other.String())
	accountJWT, err := jwt.NewAccountClaims(account.String()).Encode(account.NKey())
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"nothing":                   "",
		"not a token":               "a.b.c",
		"signed by another":         bySomebody,
		"an account's":              accountJWT,
		"a signing key of no kind":  operatorJWT(t, identity, "OAAAA"),
		"an account as signing key": operatorJWT(t, identity, account.String()),
		"a signing key's alias":     operatorJWT(t, identity, other.String()+"\n"),
		"changed":                   strings.Replace(own, ".e", ".f", 1),
		"cut short":                 own[:len(own)-8],
	} {
		if _, err := trust.ParseHub(text); !errors.Is(err, trust.ErrHub) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAHubProvesItself(t *testing.T) {
	hub, signing := newHub(t)
	document := []byte(`{"version":1}`)
	challenge := [32]byte{1, 2, 3}
	proof := trust.ProveHub(signing, challenge, sha256.Sum256(document))
	if err := hub.CheckProof(challenge, document, proof[:]); err != nil {
		t.Fatal(err)
	}
	another, anotherSigning := newHub(t)
	foreign := trust.ProveHub(anotherSigning, challenge, sha256.Sum256(document))
	changed := proof
	changed[0] ^= 1
	bare := signing.Sign(append(challenge[:], document...))
	for what, row := range map[string]struct {
		hub       *trust.Hub
		challenge [32]byte
		document  string
		proof     []byte
	}{
		"another challenge":     {hub, [32]byte{1, 2, 4}, string(document), proof[:]},
		"another document":      {hub, challenge, `{"version":2}`, proof[:]},
		"another signer":        {hub, challenge, string(document), foreign[:]},
		"another hub":           {another, challenge, string(document), proof[:]},
		"a changed proof":       {hub, challenge, string(document), changed[:]},
		"a proof without label": {hub, challenge, string(document), bare[:]},
		"half a proof":          {hub, challenge, string(document), proof[:32]},
		"no proof":              {hub, challenge, string(document), nil},
		"a hub without signers": {&trust.Hub{ID: hub.ID, Key: hub.Key}, challenge, string(document), proof[:]},
	} {
		if err := row.hub.CheckProof(row.challenge, []byte(row.document), row.proof); !errors.Is(err, trust.ErrHub) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The operator's identity is offline after it listed the signing key: it proves nothing.
func TestTheIdentityDoesNotSignForTheHub(t *testing.T) {
	identity := trust.NewKeyPair(trust.Operator)
	hub, err := trust.ParseHub(operatorJWT(t, identity, trust.NewKeyPair(trust.Operator).String()))
	if err != nil {
		t.Fatal(err)
	}
	proof := trust.ProveHub(identity, [32]byte{}, sha256.Sum256(nil))
	if err := hub.CheckProof([32]byte{}, nil, proof[:]); !errors.Is(err, trust.ErrHub) {
		t.Error(err)
	}
}
