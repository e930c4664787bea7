package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	claims := jwt.NewUserClaims(device.Text(Device))
	claims.Name = name
	claims.Issuer = identity.String()
	claims.IssuedAt, claims.Expires = now.Unix(), expires.Unix()
	claims.Permissions = DevicePermissions(device)
	claims.AllowedConnectionTypes = connectionTypes()
	claims.Type, claims.Version = jwt.UserClaim, tokenVersion
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("encode device token: %w", err)
	}
	signed := tokenText.EncodeToString([]byte(tokenHeader)) + "." + tokenText.EncodeToString(payload)
	sig := identity.Sign([]byte(signed))
	return ParseDeviceToken(signed + "." + tokenText.EncodeToString(sig[:]))
}

// openToken verifies a token's signature, by the same rule as every other, and reads its
// claims. One token has one text and one reading: nothing is skipped, and no member stands
// there twice, unknown, or in another case.
func openToken(text string) (*jwt.UserClaims, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: not a token", ErrToken)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = tokenText.DecodeString(part); err != nil || tokenText.EncodeToString(raw[i]) != part {
			return nil, fmt.Errorf("%w: not a token", ErrToken)
		}
	}
	claims := new(jwt.UserClaims)
	if string(raw[0]) != tokenHeader || json.Unmarshal(raw[1], claims) != nil || !sameJSON(raw[1], claims) {
		return nil, fmt.Errorf("%w: not a user token in its one form", ErrToken)
	}
	if claims.Type != jwt.UserClaim || claims.Version != tokenVersion {
		return nil, fmt.Errorf("%w: not a user token of this version", ErrToken)
	}
	issuer, err := ParsePublicKey(Account, claims.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: not issued by an identity", ErrToken)
	}
	if !Verify(issuer, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return nil, fmt.Errorf("%w: its signature does not hold", ErrToken)
	}
	return claims, nil
}

// sameJSON reports whether data is how the claims are encoded, byte for byte.
func sameJSON(data []byte, claims *jwt.UserClaims) bool {
	encoded, err := json.Marshal(claims)
	return err == nil && bytes.Equal(encoded, data)
}

// ParseDeviceToken reads a token and checks everything in it but the time: the
// signature of the identity that issued it, that it is issued by an identity itself, its
// life, name, and that its permissions are the ones every device has. Errors match ErrToken.
func ParseDeviceToken(text string) (*DeviceToken, error) {
	if len(text) > maxTokenText {
		return nil, fmt.Errorf("%w: too long", ErrToken)
	}
	claims, err := openToken(text)
	if err != nil {
		return nil, err
	}
	account, err := ParsePublicKey(Account, claims.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: not issued by an identity", ErrToken)
	}
	device, err := ParsePublicKey(Device, claims.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: not about a device", ErrToken)
	}
	t := &DeviceToken{
		Account: account, Device: device, Name: claims.Name, Text: text,
		Issued: time.Unix(claims.IssuedAt, 0).UTC(), Expires: time.Unix(claims.Expires, 0).UTC(),
	}
	switch {
	case claims.IssuerAccount != "":
		return nil, fmt.Errorf("%w: not issued by the identity itself", ErrToken)
	case claims.BearerToken:
		return nil, fmt.Errorf("%w: a bearer token proves no device", ErrToken)
	case !IsName(claims.Name):
		return nil, fmt.Errorf("%w: its device name is not in normal form", ErrToken)
	case claims.IssuedAt < 0 || claims.Expires > lastSecond:
		return nil, fmt.Errorf("%w: its times are out of range", ErrToken)
	case claims.Expires == 0 || !t.Expires.After(t.Issued) || t.Expires.Sub(t.Issued) > MaxTokenLife:
		return nil, fmt.Errorf("%w: it lives too long", ErrToken)
	case !samePermissions(claims.Permissions, DevicePermissions(device)):
		return nil, fmt.Errorf("%w: its permissions are not a device's", ErrToken)
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

func samePermissions(a, b jwt.Permissions) bool {
	return slices.Equal(a.Pub.Allow, b.Pub.Allow) && slices.Equal(a.Pub.Deny, b.Pub.Deny) &&
		slices.Equal(a.Sub.Allow, b.Sub.Allow) && slices.Equal(a.Sub.Deny, b.Sub.Deny) &&
		a.Resp != nil && b.Resp != nil && *a.Resp == *b.Resp
}

func connectionTypes() jwt.StringList {
	return jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
}
