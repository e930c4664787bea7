package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	forPasskey      = "passkey"
	forRegistration = "passkeys " // and whose

	maxPasskeys    = 20 // of a person
	maxPasskeyName = 64 // characters
)

type optionsAnswer struct {
	Options any `json:"options"` // the WebAuthn options as JSON has them
}

type passkeyRequest struct {
	Credential json.RawMessage `json:"credential"`
}

type passkeyAnswer struct {
	Account string `json:"account"`
	Handle  string `json:"handle"`
	Event   []byte `json:"event,omitempty"` // its backup, where it opens one
}

type registrationRequest struct {
	Credential json.RawMessage `json:"credential"`
	Name       string          `json:"name"`
}

type passkeyID struct {
	ID string `json:"id"`
}

// passkeyShown is a passkey as its person sees it.
type passkeyShown struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Made  time.Time `json:"made"`
	Opens bool      `json:"opens"` // whether it brings the keys
}

type passkeysAnswer struct {
	Passkeys []passkeyShown `json:"passkeys"`
}

// holder is a person as WebAuthn knows one: by the raw key of the account.
type holder struct {
	key    trust.PublicKey
	handle string
	keys   []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return h.key[:] }
func (h *holder) WebAuthnName() string                       { return h.handle }
func (h *holder) WebAuthnDisplayName() string                { return h.handle }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// party is the hub as WebAuthn knows it, at the origin of a request: its host is the RP ID.
func (v *visit) party() (*webauthn.WebAuthn, error) {
	host := v.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if protocol.ValidateRPID(host) != nil {
		return nil, fault.New(fault.Unavailable, "passkeys work where a hub has a name, and not at an address of numbers")
	}
	scheme := "http://"
	if v.secure {
		scheme = "https://"
	}
	party, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Keyhall", RPOrigins: []string{scheme + v.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationPreferred,
		},
	})
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "passkeys do not work at this address")
	}
	return party, nil
}

// evaluated asks a passkey for the PRF output that opens a backup.
func evaluated() webauthn.ExtensionOption {
	return webauthn.WithExtensionPRF(protocol.PRFValues{First: trust.PasskeyInput()})
}

// asking are the options for any passkey, and what its answer is held against. Both are the
// same each time but for the challenge.
func asking(party *webauthn.WebAuthn, challenge []byte) (*protocol.CredentialAssertion, *webauthn.SessionData, error) {
	return party.BeginDiscoverableLogin(webauthn.WithChallenge(challenge), webauthn.WithAssertionExtensions(evaluated()))
}

// registering are the same for a new passkey of somebody.
func registering(party *webauthn.WebAuthn, owner *holder, challenge []byte) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	options, session, err := party.BeginRegistration(owner,
		webauthn.WithExclusions(webauthn.Credentials(owner.keys).CredentialDescriptors()),
		webauthn.WithExtensions(evaluated(), webauthn.WithExtensionCredProps()))
	if err != nil {
		return nil, nil, err
	}
	options.Response.Challenge, session.Challenge = challenge, base64.RawURLEncoding.EncodeToString(challenge)
	return options, session, nil
}

// beginPasskey asks for any passkey of this hub: whose it is, it says itself.
func (s *Service) beginPasskey(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	party, err := v.party()
	if err != nil {
		return nil, err
	}
	challenge := s.tickets.challenge(forPasskey)
	options, _, err := asking(party, challenge[:])
	if err != nil {
		return nil, err
	}
	return optionsAnswer{options.Response}, nil
}

// finishPasskey says whose a passkey is that signed a challenge, and hands out the backup that
// it opens.
func (s *Service) finishPasskey(v *visit) (any, error) {
	request, err := read[passkeyRequest](v)
	if err != nil {
		return nil, err
	}
	party, err := v.party()
	if err != nil {
		return nil, err
	}
	said, err := protocol.ParseCredentialRequestResponseBytes(request.Credential)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "that is not what a passkey says")
	}
	challenge, err := s.challenged(forPasskey, said.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, err
	}
	credential := base64.RawURLEncoding.EncodeToString(said.RawID)
	var answer passkeyAnswer
	err = s.guess(v, "passkey", credential, func() error {
		answer, err = s.provePasskey(v.Context(), party, said, challenge)
		return err
	})
	return answer, err
}

// challenged is the challenge in what a passkey says, if it was made here for the purpose.
func (s *Service) challenged(purpose, text string) ([]byte, error) {
	challenge, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errChallenge()
	}
	return challenge, s.tickets.check(purpose, challenge)
}

// provePasskey verifies what a passkey signed, and keeps what it counts.
func (s *Service) provePasskey(
	ctx context.Context, party *webauthn.WebAuthn, said *protocol.ParsedCredentialAssertionData, challenge []byte,
) (passkeyAnswer, error) {
	credential := base64.RawURLEncoding.EncodeToString(said.RawID)
	const no = "this passkey is not, or no longer, known here"
	var answer passkeyAnswer
	if len(said.Response.UserHandle) != 32 {
		return answer, wrong(no)
	}
	key := trust.PublicKey(said.Response.UserHandle)
	answer.Account = key.Text(trust.Account)
	person, err := s.People.Person(ctx, answer.Account)
	if fault.Is(err, fault.NotFound) {
		return answer, wrong(no)
	}
	if err != nil {
		return answer, err
	}
	answer.Handle = person.State.Handle
	known, err := s.Store.passkey(ctx, answer.Account, credential)
	if fault.Is(err, fault.NotFound) || err == nil && known.Host != party.Config.RPID {
		return answer, wrong(no)
	}
	if err != nil {
		return answer, err
	}
	owner := &holder{key, answer.Handle, []webauthn.Credential{known.Credential}}
	_, session, err := asking(party, challenge)
	if err != nil {
		return answer, err
	}
	good, err := party.ValidateDiscoverableLogin(func([]byte, []byte) (webauthn.User, error) { return owner, nil }, *session, said)
	if err != nil {
		return answer, wrong(no)
	}
	if err := s.tickets.use(challenge); err != nil {
		return answer, err
	}
	if good.Authenticator.CloneWarning {
		return answer, fault.New(fault.Refused, "somebody else uses a copy of this passkey: sign in another way, and remove it")
	}
	known.Credential = *good
	if err := s.Store.putPasskey(ctx, answer.Account, credential, known); err != nil {
		return answer, err
	}
	ev, _, err := s.Store.login(ctx, answer.Account, credential)
	if err == nil && ev != nil && ev.Type == event.PasskeyLogin {
		answer.Event = ev.Encode()
	}
	return answer, err
}

// beginRegistration asks for a new passkey of the person.
func (s *Service) beginRegistration(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	party, err := v.party()
	if err != nil {
		return nil, err
	}
	owner, err := s.holder(v)
	if err != nil {
		return nil, err
	}
	if len(owner.keys) >= maxPasskeys {
		return nil, fault.New(fault.TooLarge, "you have %d passkeys, which is the most; remove one first", maxPasskeys)
	}
	challenge := s.tickets.challenge(forRegistration + v.session.Account)
	options, _, err := registering(party, owner, challenge[:])
	if err != nil {
		return nil, err
	}
	return optionsAnswer{options.Response}, nil
}

func (s *Service) holder(v *visit) (*holder, error) {
	key, err := trust.ParsePublicKey(trust.Account, v.session.Account)
	if err != nil {
		return nil, err
	}
	owner := &holder{key: key, handle: v.session.Handle}
	known, err := s.Store.passkeys(v.Context(), v.session.Account)
	for _, p := range known {
		owner.keys = append(owner.keys, p.Credential)
	}
	return owner, err
}

// finishRegistration keeps a passkey that was made for the person.
func (s *Service) finishRegistration(v *visit) (any, error) {
	request, err := read[registrationRequest](v)
	if err != nil {
		return nil, err
	}
	name, err := passkeyName(request.Name)
	if err != nil {
		return nil, err
	}
	party, err := v.party()
	if err != nil {
		return nil, err
	}
	said, err := protocol.ParseCredentialCreationResponseBytes(request.Credential)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "that is not what a passkey says")
	}
	challenge, err := s.challenged(forRegistration+v.session.Account, said.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, err
	}
	owner, err := s.holder(v)
	if err != nil {
		return nil, err
	}
	_, session, err := registering(party, owner, challenge)
	if err != nil {
		return nil, err
	}
	made, err := party.CreateCredential(owner, *session, said)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "this passkey cannot be used; try again, or another one")
	}
	if err := s.tickets.use(challenge); err != nil {
		return nil, err
	}
	id := base64.RawURLEncoding.EncodeToString(made.ID)
	if len(owner.keys) >= maxPasskeys || slices.ContainsFunc(owner.keys, func(c webauthn.Credential) bool { return string(c.ID) == string(made.ID) }) {
		return nil, fault.New(fault.Taken, "you have this passkey already, or as many as there may be")
	}
	made.Attestation = webauthn.CredentialAttestation{} // asked for none, and kept none
	return passkeyID{id}, s.Store.putPasskey(v.Context(), v.session.Account, id, &Passkey{
		Credential: *made, Host: party.Config.RPID, Name: name, Made: time.Now().UTC().Truncate(time.Millisecond),
	})
}

// passkeyName is what somebody calls a passkey: text on one line.
func passkeyName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if name == "" || utf8.RuneCountInString(name) > maxPasskeyName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fault.New(fault.Malformed, "a passkey's name has 1 to %d characters on one line", maxPasskeyName)
	}
	return name, nil
}

func (s *Service) passkeys(v *visit) (any, error) {
	known, err := s.Store.passkeys(v.Context(), v.session.Account)
	if err != nil {
		return nil, err
	}
	answer := passkeysAnswer{Passkeys: []passkeyShown{}}
	for _, p := range known {
		id := base64.RawURLEncoding.EncodeToString(p.Credential.ID)
		ev, _, err := s.Store.login(v.Context(), v.session.Account, id)
		if err != nil {
			return nil, err
		}
		opens := ev != nil && ev.Type == event.PasskeyLogin
		answer.Passkeys = append(answer.Passkeys, passkeyShown{id, p.Name, p.Made, opens})
	}
	slices.SortFunc(answer.Passkeys, func(a, b passkeyShown) int { return b.Made.Compare(a.Made) })
	return answer, nil
}

func (s *Service) removePasskey(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	id := v.PathValue("id")
	if _, err := s.Store.passkey(v.Context(), v.session.Account, id); err != nil {
		return nil, err
	}
	return none{}, s.Store.dropPasskey(v.Context(), v.session.Account, id)
}
