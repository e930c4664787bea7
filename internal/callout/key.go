package callout

import "github.com/nats-io/nkeys"

// isKey reports whether text is a public key of the kind, in its one canonical form.
func isKey(kind nkeys.PrefixByte, text string) bool {
	_, ok := rawKey(kind, text)
	return ok
}

// rawKey is the 32 bytes of a public key of the kind, in its one canonical form. The checks
// of nkeys also take line breaks anywhere and a character too many: the same key under
// names that do not compare equal, which a block list would miss.
func rawKey(kind nkeys.PrefixByte, text string) ([]byte, bool) {
	raw, err := nkeys.Decode(kind, []byte(text))
	if err != nil || len(raw) != keySize {
		return nil, false
	}
	canonical, err := nkeys.Encode(kind, raw)
	return raw, err == nil && string(canonical) == text
}
