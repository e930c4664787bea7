package callout

import "github.com/nats-io/nkeys"

// isKey reports whether text is a public key of the kind, in its one canonical form.
// The checks of nkeys also take line breaks anywhere and a character too many: the
// same key under names that do not compare equal, which a block list would miss.
func isKey(kind nkeys.PrefixByte, text string) bool {
	raw, err := nkeys.Decode(kind, []byte(text))
	if err != nil {
		return false
	}
	canonical, err := nkeys.Encode(kind, raw)
	return err == nil && string(canonical) == text
}
