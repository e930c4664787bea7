package signin

import (
	"encoding/hex"
	"slices"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/throttle"
	"keyhall.dev/keyhall/trust"
)

type challengeAnswer struct {
	Challenge string `json:"challenge"`
}

type sessionRequest struct {
	Token     string `json:"token"`
	Challenge string `json:"challenge"`
	Signature []byte `json:"signature"`
}

// sessionAnswer is a session as its person sees it.
type sessionAnswer struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Handle  string    `json:"handle"`
	Device  string    `json:"device"`
	Name    string    `json:"name"`
	Made    time.Time `json:"made"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
	From    string    `json:"from"`
	Agent   string    `json:"agent"`
	This    bool      `json:"this"`
}

type sessionsAnswer struct {
	Sessions []sessionAnswer `json:"sessions"`
}

type endRequest struct {
	Others bool `json:"others,omitempty"`
}

const forSession = "session"

func (s *Service) challenge(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	challenge := s.tickets.challenge(forSession)
	return challengeAnswer{hex.EncodeToString(challenge[:])}, nil
}

type revokedRequest struct {
	sessionRequest

	After uint64 `json:"after"`
}

// openSession opens a session for a device that signed a challenge, with the token that stands
// on its person's chain. The cookie is always a new one.
func (s *Service) openSession(v *visit) (any, error) {
	request, err := read[sessionRequest](v)
	if err != nil {
		return nil, err
	}
	token, err := s.device(v, request, func(token *trust.DeviceToken, fact *chain.DeviceFact) error {
		if fact == nil || fact.Token != token.Text || fact.Revoked != 0 {
			return wrong(noDevice)
		}
		if now := time.Now(); now.After(token.Expires) || now.Before(token.Issued.Add(-trust.ClockSkew)) {
			return fault.New(fault.Refused, "the token of this device has expired")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	account, device := token.Account.Text(trust.Account), token.Device.Text(trust.Device)
	session, cookie, err := s.Browsers.New(v.Context(), account, device, v.from.String(), v.UserAgent())
	if err != nil {
		return nil, err
	}
	s.remember(v, cookie)
	return shown(session, session), nil
}

// revoked shows a device that it was revoked: a page of its person's chain, up to where that stands and no further. What was
// said before was for the device as well.
func (s *Service) revoked(v *visit) (any, error) {
	request, err := read[revokedRequest](v)
	if err != nil {
		return nil, err
	}
	var until uint64
	token, err := s.device(v, &request.sessionRequest, func(_ *trust.DeviceToken, fact *chain.DeviceFact) error {
		if fact == nil {
			return wrong(noDevice)
		}
		until = fact.Revoked
		return nil
	})
	if err != nil {
		return nil, err
	}
	if until == 0 {
		return nil, fault.New(fault.NotFound, "this device was not revoked")
	}
	page, err := people.ReadPage(v.Context(), s.Ledger, chain.PersonSubject(token.Account.Text(trust.Account)), request.After, nil)
	if err != nil {
		return nil, err
	}
	page.Head = min(page.Head, until)
	page.Events = slices.DeleteFunc(page.Events, func(entry api.Entry) bool { return entry.Seq > until })
	return page, nil
}

const noDevice = "this device is not, or no longer, one of a member here"

// device is the token of whoever signed the challenge with its device, where judge has nothing against that.
func (s *Service) device(v *visit, request *sessionRequest, judge func(*trust.DeviceToken, *chain.DeviceFact) error) (*trust.DeviceToken, error) {
	token, err := trust.ParseDeviceToken(request.Token)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the token is not one of a device")
	}
	challenge, err := hex.DecodeString(request.Challenge)
	if err != nil || len(challenge) != 32 {
		return nil, fault.New(fault.Malformed, "a challenge has 64 hexadecimal digits")
	}
	if err := s.tickets.check(forSession, challenge); err != nil {
		return nil, err
	}
	// A device's key is no secret, and nobody guesses a signature: wrong ones hold up who sends them, and not the device
	// when it comes from elsewhere.
	whose := token.Device.Text(trust.Device) + " " + throttle.Subscriber(v.from.String())
	err = s.guess(v, "session", whose, func() error {
		person, err := s.People.Person(v.Context(), token.Account.Text(trust.Account))
		if fault.Is(err, fault.NotFound) {
			return wrong(noDevice)
		}
		if err != nil {
			return err
		}
		if err := judge(token, person.State.Devices[token.Device.Text(trust.Device)]); err != nil {
			return err
		}
		if err := trust.CheckSession(token.Device, s.Hub.ID, [32]byte(challenge), request.Signature); err != nil {
			return wrong("the device did not sign this challenge")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return token, s.tickets.use(challenge)
}

func shown(session, own *browsers.Session) sessionAnswer {
	return sessionAnswer{
		ID: session.ID, Account: session.Account, Handle: session.Handle, Device: session.Device, Name: session.Name,
		Made: session.Made, Seen: session.Seen, Expires: session.Expires.UTC(), From: session.From, Agent: session.Agent,
		This: session.ID == own.ID,
	}
}

func (s *Service) session(v *visit) (any, error) { return shown(v.session, v.session), nil }

func (s *Service) endOwn(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	s.forget(v)
	return none{}, s.Browsers.End(v.Context(), v.session)
}

func (s *Service) sessions(v *visit) (any, error) {
	list, err := s.Browsers.List(v.Context(), v.session.Account)
	if err != nil {
		return nil, err
	}
	answer := sessionsAnswer{Sessions: []sessionAnswer{}}
	for _, session := range list {
		answer.Sessions = append(answer.Sessions, shown(session, v.session))
	}
	return answer, nil
}

func (s *Service) endSession(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	id, found := v.PathValue("id"), false
	err := s.endWhich(v, func(session *browsers.Session) bool {
		found = found || session.ID == id
		return session.ID == id
	})
	if err == nil && !found {
		err = fault.New(fault.NotFound, "you have no such session")
	}
	return none{}, err
}

func (s *Service) endSessions(v *visit) (any, error) {
	request, err := read[endRequest](v)
	if err != nil {
		return nil, err
	}
	return none{}, s.endWhich(v, func(session *browsers.Session) bool {
		return !request.Others || session.ID != v.session.ID
	})
}

// endWhich ends those of the person's sessions, the own one last.
func (s *Service) endWhich(v *visit, ends func(*browsers.Session) bool) error {
	list, err := s.Browsers.List(v.Context(), v.session.Account)
	if err != nil {
		return err
	}
	own := false
	for _, session := range list {
		switch {
		case !ends(session):
		case session.ID == v.session.ID:
			own = true
		default:
			if err := s.Browsers.End(v.Context(), session); err != nil {
				return err
			}
		}
	}
	if !own {
		return nil
	}
	s.forget(v)
	return s.Browsers.End(v.Context(), v.session)
}
