package trust_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39/wordlists"

	"keyhall.dev/keyhall/trust"
)

func TestBothPeopleSeeTheSameWords(t *testing.T) {
	for range 20 {
		a, b := trust.NewKeyPair(trust.Account).Public(), trust.NewKeyPair(trust.Account).Public()
		words := trust.Words(hubID, a, b)
		if words != trust.Words(hubID, b, a) {
			t.Error("each sees others")
		}
		for _, word := range strings.Split(words, " ") {
			if !slices.Contains(wordlists.English, word) {
				t.Errorf("%q is not of the list", word)
			}
		}
		if n := len(strings.Fields(words)); n != 8 {
			t.Errorf("%d words", n)
		}
	}
}

func TestWordsDifferByPersonAndHub(t *testing.T) {
	a, b, c := trust.PublicKey{1}, trust.PublicKey{2}, trust.PublicKey{3}
	seen := make(map[string]string)
	for what, words := range map[string]string{
		"a and b": trust.Words(hubID, a, b), "a and c": trust.Words(hubID, a, c), "b and c": trust.Words(hubID, b, c),
		"a alone": trust.Words(hubID, a, a), "b alone": trust.Words(hubID, b, b),
		"a and b elsewhere": trust.Words("O2", a, b), "a alone elsewhere": trust.Words("O2", a, a),
	} {
		if other := seen[words]; other != "" {
			t.Errorf("%s and %s have the same: %s", what, other, words)
		}
		seen[words] = what
	}
}

// TestTheWordsAreTheProtocols: computed from docs/protocol/keys.md apart from this
// program (testdata/vectors.py).
func TestTheWordsAreTheProtocols(t *testing.T) {
	const want = "envelope stock dash anchor forum supply update inject"
	if got := trust.Words(hubID, trust.PublicKey{2}, trust.PublicKey{1}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
