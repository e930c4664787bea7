package callout

import (
	"strings"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// Says reports whether the first word of the user field is this one: how the clients of a hub
// say what a connection is for (docs/protocol/subjects.md).
func (r *Request) Says(word string) bool {
	first, _, _ := strings.Cut(r.User, " ")
	return first == word
}

// Holder is the key (U…) that a connection names behind the first word of its user field and
// proves to hold, and what it says behind it. A proof that does not hold is ErrWrong.
func (r *Request) Holder() (key, rest string, err error) {
	_, rest, _ = strings.Cut(r.User, " ")
	key, rest, _ = strings.Cut(rest, " ")
	if !isKey(nkeys.PrefixByteUser, key) {
		return "", "", fault.New(fault.Malformed, "the connection does not name a device, an invite key or a recovery key")
	}
	if err := r.VerifySignature(key); err != nil {
		return "", "", Wrong("the connection does not prove that it holds its key: %v", err)
	}
	return key, rest, nil
}
