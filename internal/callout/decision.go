package callout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/throttle"
)

// maxShown bounds what a Decision repeats of a client's own words, in bytes.
const maxShown = 256

// Outcome is how a login ended, in one word: for metrics.
type Outcome string

// The outcomes.
const (
	Allowed   Outcome = "allowed"
	Refused   Outcome = "refused"   // by its backend, or no backend takes it
	Disproved Outcome = "wrong"     // refused for a wrong name or proof
	Throttled Outcome = "throttled" // too soon after wrong ones: no backend was asked
	Shed      Outcome = "shed"      // more logins wait than can be decided in time: no backend was asked
	Late      Outcome = "late"      // the server's time was over before the backend had decided
	Malformed Outcome = "malformed" // not a request that a server may make
	Failed    Outcome = "failed"    // a defect of ours or of a backend, or something it needs is away
)

// Decision is how one login ended, for audit and for closing the connection later. It
// holds no secrets. Allowed is the engine's word: the server may still refuse, for
// instance when the client has gone.
type Decision struct {
	Allowed bool
	Outcome Outcome
	Reason  string // why not; for the host, not for the client
	Backend string // who decided; empty where nobody was asked
	Rule    string // why, as granted

	Name    string // as granted
	Account string // A…, as granted
	Rights  Rights // as granted
	User    string // the user field, the client's own words, cut at 256 bytes
	Client  Client
	Server  Server
	UserKey string // U…, of this connection alone
	Expires time.Time

	Waited   time.Duration // from hearing the request to the backend's turn
	Duration time.Duration // from hearing the request to the answer
}

// newDecision starts from what is known before anyone is asked. A request that could
// not be opened is nil.
func newDecision(request *Request) Decision {
	if request == nil {
		return Decision{}
	}
	d := Decision{User: cut(request.User), Client: request.Client, Server: request.Server, UserKey: request.UserKey}
	d.Client.Name = cut(d.Client.Name)
	return d
}

// allow puts down what was granted.
func (d *Decision) allow(grant *Grant) {
	d.Allowed, d.Outcome = true, Allowed
	d.Name, d.Rule, d.Account, d.Expires = grant.Name, grant.Rule, grant.Account, grant.Expires
	d.Rights = grant.Rights()
}

// refuse puts down why not.
func (d *Decision) refuse(why error) {
	d.Outcome, d.Reason = outcomeOf(why), why.Error()
	if d.UserKey == "" {
		d.Outcome = Malformed // what is no request has no connection
	}
}

// outcomeOf is the word for a refusal. The sentinels go first: a backend's own error stands
// behind them.
func outcomeOf(err error) Outcome {
	for _, known := range []struct {
		err     error
		outcome Outcome
	}{
		{errDefect, Failed},
		{throttle.ErrTooSoon, Throttled},
		{errShed, Shed},
		{errLate, Late},
		{errReplayed, Malformed},
		{ErrWrong, Disproved},
	} {
		if errors.Is(err, known.err) {
			return known.outcome
		}
	}
	switch fault.CodeOf(err) {
	case fault.Unavailable, fault.Internal, fault.TooLarge:
		return Failed
	default:
		return Refused
	}
}

func cut(text string) string {
	if len(text) > maxShown {
		return text[:maxShown]
	}
	return text
}

// log writes the decision. The error ends here: the client is told nothing of it.
func (d Decision) log(logger *slog.Logger, err error) {
	if d.Allowed && !logger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attributes := []any{
		"user", d.User, "host", d.Client.Host, "client", d.Client.Name, "type", d.Client.Type,
		"server", d.Server.ID, "cid", d.Client.ID, "user_key", d.UserKey, "duration", d.Duration,
	}
	if d.Allowed {
		logger.Debug("login allowed", append(attributes, "name", d.Name, "account", d.Account)...)
		return
	}
	attributes = append(attributes, "outcome", d.Outcome, "reason", d.Reason)
	var f *fault.Error
	if errors.As(err, &f) && f.Cause != nil {
		attributes = append(attributes, "cause", f.Cause)
	}
	logger.Log(context.Background(), d.level(err), "login refused", attributes...)
}

// level tells a person who may not enter, which is everyday, from a callout that does
// not work.
func (d Decision) level(err error) slog.Level {
	code := fault.CodeOf(err)
	switch {
	case errors.Is(err, errDefect):
		return slog.LevelError
	case d.UserKey == "", code == fault.Unavailable, code == fault.Internal:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
