package signin

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
)

// waitTime is how long somebody waits for the other side of a link before they ask again.
const waitTime = 25 * time.Second

// Serve offers what members ask over NATS, hub.*.logins.> and hub.*.links.>, until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	logins, err := api.Serve(ctx, nc, api.Service{
		Name: "logins", Description: "keeps passwords' verifiers and sealed backups of members",
		Verbs: map[string]api.Handler{"put": s.putLogin, "state": s.loginState},
	}, log)
	if err != nil {
		cancel()
		return nil, err
	}
	links, err := api.Serve(ctx, nc, api.Service{
		Name: "links", Description: "where a member's device meets a new one", Time: waitTime + 5*time.Second,
		Verbs: map[string]api.Handler{"take": s.takeLink, "answer": s.answerLink},
	}, log)
	if err != nil {
		cancel()
		logins()
		return nil, err
	}
	return func() { logins(); links(); cancel() }, nil
}

// putLogin takes a login event of the caller's. NATS's word for the account is not enough,
// nor is a device's signature: the identity itself makes a login.
func (s *Service) putLogin(ctx context.Context, caller string, data []byte) (any, error) {
	if len(data) > maxStored {
		return nil, fault.New(fault.TooLarge, "a login has %d KiB at most", event.MaxLogin>>10)
	}
	ev, err := api.DecodeEvent(caller, data)
	if err != nil {
		return nil, err
	}
	login, err := ev.CheckLogin(s.Hub.ID)
	if err != nil {
		return nil, err
	}
	if _, err := s.People.Person(ctx, caller); err != nil {
		return nil, err
	}
	credential := login.Credential()
	if credential != "" {
		if _, err := s.Store.passkey(ctx, caller, credential); err != nil {
			return nil, err
		}
	}
	known, revision, err := s.Store.login(ctx, caller, credential)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Hash() == ev.Hash() {
		return api.Appended{}, nil // it came twice
	}
	if known != nil && !ev.Time.After(known.Time) {
		return nil, fault.New(fault.Conflict, "there is a newer one already")
	}
	return api.Appended{}, s.Store.putLogin(ctx, caller, credential, ev, revision)
}

// loginState says when the caller's password was set.
func (s *Service) loginState(ctx context.Context, caller string, _ []byte) (any, error) {
	known, _, err := s.Store.login(ctx, caller, "")
	if err != nil || known == nil {
		return api.LoginState{}, err
	}
	state := api.LoginState{Changed: known.Time}
	if known.Type == event.PasswordLogin {
		state.Password = known.Time
	}
	return state, nil
}
