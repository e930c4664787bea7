package callout

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

const (
	everything  = ">"
	inboxPrefix = "_INBOX_"
	maxName     = 256 // bytes of a grant's name or of one tag
	maxSubject  = 255 // bytes
)

// alwaysDenied are the inboxes of clients that did not choose a private one, and the
// reply subjects of service imports: who hears them hears other people's answers.
var (
	alwaysDenied  = []string{"_INBOX.>", "_R_.>"}
	deniedSharing = []string{"_R_.>"} // where inboxes are shared
)

// Grant is what an Authorizer allows a connection. What its lists do not allow is
// denied.
type Grant struct {
	Account string        // A…, where the connection is placed
	Signer  nkeys.KeyPair // a signing key of that account, or its identity
	Name    string        // who it is, in NATS's own reports; required
	Rule    string        // why, for audit and explanations: a line of a file, a rule

	// Scoped leaves the permissions to the template of the signing key's scope: the grant
	// then has no subjects, and Name and Tags are single tokens, which the template fills in.
	Scoped bool

	Publish   Subjects
	Subscribe Subjects
	Responses Responses

	// Inbox is the prefix of the only inbox the connection has: it may subscribe to
	// everything below. Empty is none.
	Inbox string
	// SharedInbox leaves _INBOX.> to the lists, for clients that cannot set a prefix. Who
	// may subscribe there hears the answers to everybody who is as careless.
	SharedInbox bool

	Expires time.Time // when the server closes the connection; required
	Tags    []string  // NATS lower-cases them

	// Limits; 0: as the account. nats-server 2.15.2 does not look at them: for limits that
	// hold, the account's JWT has to say them.
	MaxPayload       int64 // bytes of a message
	MaxSubscriptions int64
}

// Subjects are the subjects of one direction. A deny goes before an allow.
type Subjects struct {
	Allow []string
	Deny  []string
}

// Responses allows answers to the reply subject of each message received. The zero
// value allows none.
type Responses struct {
	Max    int           // messages per request
	Within time.Duration // after the request
}

// userClaims turns a grant into the user JWT's claims for one connection, or says what
// is wrong with it. signer is the public key of its Signer.
func (g *Grant) userClaims(userKey, signer string, now time.Time) (*jwt.UserClaims, error) {
	if err := g.check(now); err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(userKey)
	claims.Name = g.Name
	claims.Tags.Add(g.Tags...)
	if signer != g.Account {
		claims.IssuerAccount = g.Account
	}
	claims.Expires = g.Expires.Unix()
	if g.MaxPayload > 0 {
		claims.Limits.Payload = g.MaxPayload
	}
	if g.MaxSubscriptions > 0 {
		claims.Limits.Subs = g.MaxSubscriptions
	}
	if g.Scoped {
		claims.SetScoped(true) // no permissions and no limits: those are the scope's
		return claims, nil
	}
	claims.Permissions = g.permissions()
	if g.Responses.Max > 0 {
		claims.Resp = &jwt.ResponsePermission{MaxMsgs: g.Responses.Max, Expires: g.Responses.Within}
	}
	return claims, nil
}

func (g *Grant) permissions() jwt.Permissions {
	denied := alwaysDenied
	if g.SharedInbox {
		denied = deniedSharing
	}
	hears := g.Subscribe
	if g.Inbox != "" {
		hears.Allow = append([]string{g.Inbox + ".>"}, hears.Allow...)
	}
	return jwt.Permissions{Pub: g.Publish.permission(denied), Sub: hears.permission(denied)}
}

// permission spells out what NATS leaves open: no allow list there means everything.
func (s Subjects) permission(denied []string) jwt.Permission {
	p := jwt.Permission{Allow: append(jwt.StringList{}, s.Allow...)}
	if len(s.Allow) == 0 {
		p.Deny.Add(everything)
	}
	p.Deny.Add(s.Deny...)
	p.Deny.Add(denied...)
	return p
}

func (g *Grant) check(now time.Time) error {
	if !isKey(nkeys.PrefixByteAccount, g.Account) {
		return fmt.Errorf("grant for %q, which is not an account", g.Account)
	}
	if g.Signer == nil {
		return errors.New("grant without a signing key")
	}
	if g.Scoped {
		if err := g.checkScoped(); err != nil {
			return err
		}
	}
	if g.Inbox != "" {
		if err := CheckToken(g.Inbox); err != nil || !strings.HasPrefix(g.Inbox, inboxPrefix) || g.SharedInbox {
			return fmt.Errorf("private inbox %q of the grant", g.Inbox)
		}
	}
	if err := CheckText(g.Name); err != nil {
		return fmt.Errorf("name of the grant: %w", err)
	}
	for _, tag := range g.Tags {
		if err := CheckText(tag); err != nil {
			return fmt.Errorf("tag of the grant: %w", err)
		}
	}
	if g.Expires.IsZero() {
		return errors.New("grant without an end")
	}
	if g.Expires.Unix() <= now.Unix() {
		return fmt.Errorf("grant expired at %s", g.Expires.UTC().Format(time.RFC3339))
	}
	if g.MaxPayload < 0 || g.MaxSubscriptions < 0 || g.Responses.Max < 0 || g.Responses.Within < 0 {
		return errors.New("grant with a negative limit")
	}
	if g.Responses.Max > 0 && g.Responses.Within == 0 {
		return errors.New("grant of responses without a time limit")
	}
	for _, list := range [][]string{g.Publish.Allow, g.Publish.Deny, g.Subscribe.Allow, g.Subscribe.Deny} {
		for _, subject := range list {
			if err := CheckSubject(subject); err != nil {
				return fmt.Errorf("subject %q of the grant: %w", subject, err)
			}
		}
	}
	return nil
}

// checkScoped takes what cannot widen a template: the server puts names and tags into
// subjects as they are, and tags in lower case.
func (g *Grant) checkScoped() error {
	for _, list := range [][]string{g.Publish.Allow, g.Publish.Deny, g.Subscribe.Allow, g.Subscribe.Deny} {
		if len(list) > 0 {
			return errors.New("grant with permissions beside those of its signing key's scope")
		}
	}
	if g.Responses != (Responses{}) || g.Inbox != "" || g.SharedInbox || g.MaxPayload != 0 || g.MaxSubscriptions != 0 {
		return errors.New("grant with rights beside those of its signing key's scope")
	}
	if err := checkWord(g.Name); err != nil {
		return fmt.Errorf("name %q of the grant: %w", g.Name, err)
	}
	for _, tag := range g.Tags {
		name, value, found := strings.Cut(tag, ":")
		if !found {
			value = name
		}
		if err := checkWord(value); err != nil {
			return fmt.Errorf("tag %q of the grant: %w", tag, err)
		}
		if strings.ToLower(strings.TrimSpace(tag)) != tag {
			return fmt.Errorf("tag %q of the grant: NATS would put it into lower case without spaces around", tag)
		}
	}
	return nil
}

// checkWord takes what may fill a place in a template: a token that is no place itself, since
// a server fills in one after the other.
func checkWord(word string) error {
	if strings.Contains(word, "{{") || strings.Contains(word, "}}") {
		return errors.New("template within a token")
	}
	return CheckToken(word)
}

// CheckToken takes a text that may become one token of a subject and means nothing
// but itself there. An Authorizer asks it of every word of a client's that goes into a
// grant: a room called "*" would be all rooms.
func CheckToken(token string) error {
	switch {
	case token == "":
		return errors.New("empty token")
	case len(token) > maxSubject:
		return errors.New("too long")
	case !utf8.ValidString(token):
		return errors.New("not UTF-8")
	case strings.ContainsAny(token, "*>"):
		return errors.New("wildcard within a token")
	case strings.Contains(token, "."):
		return errors.New("more than one token")
	case strings.ContainsFunc(token, notVisible):
		return errors.New("space or control character")
	default:
		return nil
	}
}

// CheckSubject takes subjects whose meaning no one can mistake: plain tokens, and
// wildcards as whole tokens, ">" only as the last.
func CheckSubject(subject string) error {
	if len(subject) > maxSubject {
		return errors.New("too long")
	}
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" && i == len(tokens)-1 {
			continue
		}
		if err := CheckToken(token); err != nil {
			return err
		}
	}
	return nil
}

func notVisible(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }

// CheckText takes names that are safe to show on one line.
func CheckText(text string) error {
	switch {
	case text == "":
		return errors.New("empty")
	case len(text) > maxName:
		return errors.New("too long")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("not printable text")
	default:
		return nil
	}
}
