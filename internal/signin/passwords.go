package signin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// configuration is what the app asks first.
type configuration struct {
	OIDC string `json:"oidc,omitempty"` // what the host calls their identity provider
	Demo bool   `json:"demo,omitempty"`
}

func (s *Service) config(*visit) (any, error) {
	answer := configuration{Demo: s.Demo}
	if s.Provider != nil {
		answer.OIDC = s.Provider.Name
	}
	return answer, nil
}

type passwordBegin struct {
	Name string `json:"name"`
}

type passwordCost struct {
	Salt   []byte `json:"salt"`
	Memory uint32 `json:"memory"`
	Passes uint32 `json:"passes"`
}

type passwordFinish struct {
	Name     string `json:"name"`
	Verifier []byte `json:"verifier"`
}

type loginAnswer struct {
	Event []byte `json:"event"`
}

// nobody is looked up in the place of a name that nobody has, so that it takes as long.
var nobody = trust.PublicKey{1}.Text(trust.Account)

// beginPassword says what a person's password costs to try. Of a name without one it says
// something that looks the same, and is the same each time.
func (s *Service) beginPassword(v *visit) (any, error) {
	request, err := read[passwordBegin](v)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	_, login, name, err := s.passwordOf(v.Context(), request.Name)
	if err != nil {
		return nil, err
	}
	answer := s.invented(name)
	if login != nil {
		answer = passwordCost{login.Salt, login.Memory, login.Passes}
	}
	evenly(v.Context(), start)
	return answer, nil
}

// invented is the cost of a password that there is not.
func (s *Service) invented(name string) passwordCost {
	mac := hmac.New(sha256.New, s.Store.secret)
	mac.Write([]byte("salt\x00" + name))
	usual := trust.NewPasswordCost()
	return passwordCost{mac.Sum(nil)[:len(usual.Salt)], usual.Memory, usual.Passes}
}

// finishPassword hands the backup of a person to who knows the password.
func (s *Service) finishPassword(v *visit) (any, error) {
	request, err := read[passwordFinish](v)
	if err != nil {
		return nil, err
	}
	if len(request.Verifier) != sha256.Size {
		return nil, fault.New(fault.Malformed, "a verifier has %d bytes", sha256.Size)
	}
	name, err := trust.Name(request.Name)
	if err != nil {
		name = request.Name // nobody's, and throttled like somebody's
	}
	var answer loginAnswer
	err = s.guess(v, "password", name, func() error {
		start := time.Now()
		ev, login, _, err := s.passwordOf(v.Context(), request.Name)
		if err != nil {
			return err
		}
		var kept event.Hash
		if login != nil {
			kept = login.Verifier
		}
		said := sha256.Sum256(request.Verifier)
		right := subtle.ConstantTimeCompare(said[:], kept[:]) == 1
		evenly(v.Context(), start)
		if !right || login == nil {
			return wrong("the name or the password is wrong")
		}
		answer.Event = ev.Encode()
		return nil
	})
	return answer, err
}

// passwordOf is the login by password of a name, in its normal form; nil where there is none.
func (s *Service) passwordOf(ctx context.Context, text string) (*event.Event, *event.PasswordBody, string, error) {
	name, err := trust.Name(text)
	if err != nil {
		name = text
	}
	account := nobody
	person, err := s.People.ByHandle(ctx, text)
	switch {
	case err == nil:
		account = person.State.Account
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Malformed):
		if _, err := s.People.Person(ctx, nobody); !fault.Is(err, fault.NotFound) {
			return nil, nil, "", err
		}
	default:
		return nil, nil, "", err
	}
	ev, _, err := s.Store.login(ctx, account, "")
	if err != nil || ev == nil || ev.Type != event.PasswordLogin {
		return nil, nil, name, err
	}
	login, err := ev.CheckLogin(s.Hub.ID)
	if err != nil {
		return nil, nil, "", err
	}
	return ev, login.Password, name, nil
}
