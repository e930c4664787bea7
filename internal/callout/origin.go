package callout

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"

	"keyhall.dev/keyhall/internal/fault"
)

// webSocket is the type of connections that come through a WebSocket.
const webSocket = "websocket"

// Origin tells the callout where WebSockets come from when a proxy of our own stands before
// the server, which then sees the proxy's address alone. The proxy puts a mark on each
// connection, in the place where the server looks for a password: a client does not see it,
// and can hide it but not make one.
type Origin struct{ key [sha256.Size]byte }

// NewOrigin makes one with a key of its own, for a proxy and a callout in one process.
func NewOrigin() *Origin {
	o := new(Origin)
	_, _ = rand.Read(o.key[:]) // it never fails
	return o
}

// Mark is what the proxy says of a connection from an address: printable text without spaces.
func (o *Origin) Mark(from netip.Addr) string {
	text := from.Unmap().WithZone("").String()
	return text + "/" + o.mac(text)
}

func (o *Origin) mac(text string) string {
	mac := hmac.New(sha256.New, o.key[:])
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// place puts the real address into a request, and takes the mark out of it.
func (o *Origin) place(r *Request) error {
	if o == nil || r.Client.Type != webSocket {
		return nil
	}
	text, mac, _ := strings.Cut(r.Password.Reveal(), "/")
	if !hmac.Equal([]byte(mac), []byte(o.mac(text))) {
		return fault.New(fault.Refused, "a WebSocket that hides where it comes from")
	}
	r.Client.Host, r.Password = text, ""
	return nil
}
