package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
)

// The bounds of a device token.
const (
	MaxTokenLife = 366 * 24 * time.Hour // from issue to expiry
	ClockSkew    = 10 * time.Minute     // how far two honest clocks may be apart
	maxTokenText = 4096                 // bytes of a token; it must fit a NATS CONNECT line
	lastSecond   = 253402300799         // of the year 9999: later times have no text
)

// The form of a NATS JWT of version 2.
const (
	tokenHeader  = `{"typ":"JWT","alg":"ed25519-nkey"}`
	tokenVersion = 2
)

var tokenText = base64.RawURLEncoding

// ErrToken is the error of a device token that does not hold.
var ErrToken = errors.New("device token does not hold")

// DeviceToken is what an identity says of a device: that it is the person's, under which
// name, and until when. Its text is a NATS user JWT and opens the person's account.
type DeviceToken struct {
	Account PublicKey // the identity that vouches
	Device  PublicKey
	Name    string // the device's name, in normal form
	Issued  time.Time
	Expires time.Time
	Text    string // the JWT
}

// IssueDevice signs a token for device under name, good from now until expires (at most
// MaxTokenLife away). The permissions in it are the same for every device
// (docs/protocol/subjects.md).
func IssueDevice(identity *KeyPair, device PublicKey, name string, now, expires time.Time) (*DeviceToken, error) {
	if !IsName(name) {
		return nil, fmt.Errorf("device name: %w", ErrName)
	}
	if life := expires.Sub(now); life <= 0 || life > MaxTokenLife {
		return nil, fmt.Errorf("%w: it may live for %d days at most", ErrToken, MaxTokenLife/(24*time.Hour))
	}
	if identity.kind != Account {
		return nil, fmt.Errorf("%w: not issued by an identity", ErrToken)
	}
	payload, err := devicePayload(identity.Public(), device, name, now.Unix(), expires.Unix())
	if err != nil {
		return nil, err
	}
	signed := tokenText.EncodeToString([]byte(tokenHeader)) + "." + tokenText.EncodeToString(payload)
	sig := identity.Sign([]byte(signed))
	return ParseDeviceToken(signed + "." + tokenText.EncodeToString(sig[:]))
}

// devicePayload is the JSON of a device token, which these five values determine.
func devicePayload(account, device PublicKey, name string, issued, expires int64) ([]byte, error) {
	claims := jwt.NewUserClaims(device.Text(Device))
	claims.Name = name
	claims.Issuer = account.Text(Account)
	claims.IssuedAt, claims.Expires = issued, expires
	claims.Permissions = DevicePermissions(device)
	claims.AllowedConnectionTypes = connectionTypes()
	claims.Type, claims.Version = jwt.UserClaim, tokenVersion
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("encode device token: %w", err)
	}
	return payload, nil
}

// splitJWT takes a JWT of version 2 apart: what is signed, the claims, and the signature,
// which is still to be verified. One token has one text: nothing is skipped, and no bits
// are loose.
func splitJWT(text string) (signed, payload, sig []byte, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = tokenText.DecodeString(part); err != nil || tokenText.EncodeToString(raw[i]) != part {
			return nil, nil, nil, false
		}
	}
	return []byte(parts[0] + "." + parts[1]), raw[1], raw[2], string(raw[0]) == tokenHeader
}

// ParseDeviceToken reads a token and checks everything in it but the time: the signature of
// the identity that issued it, its life and name, and that it says what a device's token
// says and nothing else, in its one text. Errors match ErrToken.
func ParseDeviceToken(text string) (*DeviceToken, error) {
	if len(text) > maxTokenText {
		return nil, fmt.Errorf("%w: too long", ErrToken)
	}
	signed, payload, sig, ok := splitJWT(text)
	claims := new(jwt.UserClaims)
	if !ok || json.Unmarshal(payload, claims) != nil {
		return nil, fmt.Errorf("%w: not a token of this version", ErrToken)
	}
	account, err := ParsePublicKey(Account, claims.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: not issued by an identity", ErrToken)
	}
	device, err := ParsePublicKey(Device, claims.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: not about a device", ErrToken)
	}
	if !Verify(account, signed, sig) {
		return nil, fmt.Errorf("%w: its signature does not hold", ErrToken)
	}
	t := &DeviceToken{
		Account: account, Device: device, Name: claims.Name, Text: text,
		Issued: time.Unix(claims.IssuedAt, 0).UTC(), Expires: time.Unix(claims.Expires, 0).UTC(),
	}
	switch {
	case !IsName(claims.Name):
		return nil, fmt.Errorf("%w: its device name is not in normal form", ErrToken)
	case claims.IssuedAt < 0 || claims.Expires > lastSecond:
		return nil, fmt.Errorf("%w: its times are out of range", ErrToken)
	case claims.Expires == 0 || !t.Expires.After(t.Issued) || t.Expires.Sub(t.Issued) > MaxTokenLife:
		return nil, fmt.Errorf("%w: it lives too long", ErrToken)
	}
	// Limits, other rights or a later beginning would be read differently by others.
	plain, err := devicePayload(account, device, claims.Name, claims.IssuedAt, claims.Expires)
	if err != nil || !bytes.Equal(plain, payload) {
		return nil, fmt.Errorf("%w: it says something else than a device's token says", ErrToken)
	}
	return t, nil
}

// GoodAt returns an error that matches ErrToken unless the token covers the moment at.
func (t *DeviceToken) GoodAt(at time.Time) error {
	if at.Before(t.Issued.Add(-ClockSkew)) {
		return fmt.Errorf("%w: it was issued after that time", ErrToken)
	}
	if at.After(t.Expires) {
		return fmt.Errorf("%w: it had expired by then", ErrToken)
	}
	return nil
}

// InboxPrefix is the only inbox a device, or the holder of an invite key, may use.
func InboxPrefix(device PublicKey) string { return "_INBOX_" + device.Text(Device) }

// SharedInboxes are the subjects on which anybody's answers pass; they are denied to every
// connection that Keyhall authorizes.
func SharedInboxes() []string { return []string{"_INBOX.>", "_R_.>"} }

// DevicePermissions are a device's rights in its person's own account.
func DevicePermissions(device PublicKey) jwt.Permissions {
	return jwt.Permissions{
		Pub: jwt.Permission{
			Allow: jwt.StringList{"hub.>", "from.>", "live.*.*", "own.>"},
			Deny:  SharedInboxes(),
		},
		Sub: jwt.Permission{
			Allow: jwt.StringList{InboxPrefix(device) + ".>", "catalog.>", "news.>", "own.>"},
			Deny:  SharedInboxes(),
		},
		Resp: &jwt.ResponsePermission{MaxMsgs: 64, Expires: 2 * time.Minute},
	}
}

func connectionTypes() jwt.StringList {
	return jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
}
