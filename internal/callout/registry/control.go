package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// The subjects of commands, in the account with external authorization.
const (
	SessionsSubject = "keyhall.callout.sessions"
	RevokeSubject   = "keyhall.callout.revoke"
)

// Where a denial is kept.
const (
	KeptInBucket = "bucket" // beyond a restart, for all replicas
	KeptInMemory = "memory" // until the process ends
)

const (
	maxRequest = 4096 // bytes
	maxName    = 256  // bytes of a name or a reason
	maxAnswer  = 100  // connections in one message
	maxServing = 8    // commands worked on at a time
	serveTime  = 20 * time.Second
)

// SessionsRequest asks for connections.
type SessionsRequest struct {
	Name string `json:"name,omitempty"` // of this person alone
}

// SessionsAnswer is a part of the answer of one replica; its last part has End.
type SessionsAnswer struct {
	Replica  string       `json:"replica"`
	Closes   bool         `json:"closes"` // it can close connections, and knows those of others
	Sessions []Connection `json:"sessions,omitempty"`
	End      bool         `json:"end,omitempty"`
	Error    *Refusal     `json:"error,omitempty"`
}

// RevokeRequest has connections closed: those of a name, or one.
type RevokeRequest struct {
	Name    string `json:"name,omitempty"`
	Session string `json:"session,omitempty"` // see Connection.ID
	Seconds int64  `json:"seconds,omitempty"` // for which logins of the name are denied
	Why     string `json:"why,omitempty"`     // for the audit
}

// RevokeAnswer is what one replica did.
type RevokeAnswer struct {
	Replica     string     `json:"replica"`
	Closes      bool       `json:"closes"`
	Closed      []string   `json:"closed,omitempty"` // ids
	Failed      int        `json:"failed,omitempty"`
	DeniedUntil *time.Time `json:"denied_until,omitempty"`
	Kept        string     `json:"kept,omitempty"` // where the denial is kept
	Error       *Refusal   `json:"error,omitempty"`
}

// Refusal is why a command was not done.
type Refusal struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

// fault is the refusal as an error.
func (r *Refusal) fault() error {
	if r == nil {
		return nil
	}
	return fault.New(r.Code, "%s", r.Message)
}

// serve answers commands until the keeper ends. Every replica hears every one.
func (k *Keeper) serve() error {
	for subject, answer := range map[string]func(context.Context, *nats.Msg){
		SessionsSubject: k.answerSessions, RevokeSubject: k.answerRevoke,
	} {
		sub, err := k.o.Conn.Subscribe(subject, func(message *nats.Msg) { k.hear(message, answer) })
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "commands cannot be heard: %v", err)
		}
		context.AfterFunc(k.ctx, func() { _ = sub.Unsubscribe() })
	}
	if err := k.o.Conn.FlushTimeout(serveTime); err != nil {
		return fault.Wrap(fault.Unavailable, err, "commands cannot be heard: %v", err)
	}
	return nil
}

// hear works on a command. An answer goes out with the callout's rights: who could choose
// its subject freely would have it sent as a command, or to somebody else.
func (k *Keeper) hear(message *nats.Msg, answer func(context.Context, *nats.Msg)) {
	if !privateInbox(message.Reply) {
		k.o.Logger.Warn("a command whose answer is not for a private inbox was dropped", "subject", message.Subject)
		return
	}
	select {
	case k.serving <- struct{}{}:
	case <-k.ctx.Done():
		return
	}
	k.tasks.Go(func() {
		defer func() { <-k.serving }()
		ctx, cancel := context.WithTimeout(k.ctx, serveTime)
		defer cancel()
		answer(ctx, message)
	})
}

// privateInbox reports whether a reply subject is within an inbox of a user's own.
func privateInbox(reply string) bool {
	prefix, rest, found := strings.Cut(reply, ".")
	owner, private := strings.CutPrefix(prefix, "_INBOX_")
	if !found || !private || callout.CheckToken(owner) != nil {
		return false
	}
	for token := range strings.SplitSeq(rest, ".") {
		if callout.CheckToken(token) != nil {
			return false
		}
	}
	return true
}

func (k *Keeper) answerSessions(_ context.Context, message *nats.Msg) {
	var request SessionsRequest
	if err := readRequest(message.Data, &request); err != nil {
		k.respond(message, SessionsAnswer{Replica: k.replica, Closes: k.Closes(), End: true, Error: refusal(err)})
		return
	}
	list := k.List(func(c *Connection) bool { return request.Name == "" || c.Name == request.Name })
	for {
		part := list[:min(len(list), maxAnswer)]
		list = list[len(part):]
		k.respond(message, SessionsAnswer{Replica: k.replica, Closes: k.Closes(), Sessions: part, End: len(list) == 0})
		if len(list) == 0 {
			return
		}
	}
}

func (k *Keeper) answerRevoke(ctx context.Context, message *nats.Msg) {
	var request RevokeRequest
	answer := RevokeAnswer{Replica: k.replica, Closes: k.Closes()}
	err := readRequest(message.Data, &request)
	if err == nil {
		err = request.check()
	}
	if err == nil {
		answer, err = k.revoke(ctx, request)
	}
	if err != nil {
		answer.Error = refusal(err)
	}
	answer.Closed = answer.Closed[:min(len(answer.Closed), maxAnswer*20)]
	k.respond(message, answer)
}

func (k *Keeper) respond(message *nats.Msg, answer any) {
	data, err := json.Marshal(answer)
	if err == nil {
		err = message.Respond(data)
	}
	if err != nil {
		k.o.Logger.Warn("a command could not be answered", "subject", message.Subject, "error", err)
	}
}

// readRequest reads a command strictly: what is not understood might have narrowed it.
func readRequest(data []byte, request any) error {
	if len(data) > maxRequest {
		return fault.New(fault.TooLarge, "a command has %d bytes at most", maxRequest)
	}
	if len(data) == 0 {
		data = []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(request); err != nil {
		return fault.New(fault.Malformed, "the command cannot be read")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Malformed, "the command cannot be read")
	}
	return nil
}

func (r *RevokeRequest) check() error {
	switch {
	case (r.Name == "") == (r.Session == ""):
		return fault.New(fault.Malformed, "a revocation is of a name or of one session")
	case len(r.Name) > maxName || len(r.Why) > maxName:
		return fault.New(fault.TooLarge, "a name and a reason have %d bytes at most", maxName)
	case r.Seconds < 0 || r.Seconds > int64(MaxDenial/time.Second):
		return fault.New(fault.Malformed, "logins are denied for %d days at most", int(MaxDenial.Hours()/24))
	case r.Seconds > 0 && r.Name == "":
		return fault.New(fault.Malformed, "logins are denied to a name, not to a session")
	}
	if r.Session != "" {
		_, _, err := ParseID(r.Session)
		return err
	}
	return nil
}

func refusal(err error) *Refusal {
	var f *fault.Error
	if errors.As(err, &f) {
		return &Refusal{f.Code, f.Message}
	}
	return &Refusal{fault.Internal, "the callout failed at this; its log says more"}
}

// Sessions asks every replica of a callout for its connections. Those that several know are
// listed once. closes says whether all of the replicas can close connections.
func Sessions(ctx context.Context, nc *nats.Conn, request SessionsRequest) (list []Connection, closes bool, err error) {
	known := make(map[string]int)
	closes = true
	err = ask(ctx, nc, SessionsSubject, request, func(answer *SessionsAnswer) (string, bool, error) {
		closes = closes && answer.Closes
		for _, c := range answer.Sessions {
			at, there := known[c.ID()]
			switch {
			case !there:
				known[c.ID()], list = len(list), append(list, c)
			case list[at].Backend == "": // who let it in knows more
				list[at] = c
			}
		}
		return answer.Replica, answer.End, answer.Error.fault()
	})
	return list, closes, err
}

// Revoke has every replica of a callout close connections. It returns what each of them did.
func Revoke(ctx context.Context, nc *nats.Conn, request RevokeRequest) (answers []RevokeAnswer, err error) {
	if err := request.check(); err != nil {
		return nil, err
	}
	err = ask(ctx, nc, RevokeSubject, request, func(answer *RevokeAnswer) (string, bool, error) {
		answers = append(answers, *answer)
		return answer.Replica, true, answer.Error.fault()
	})
	return answers, err
}

// ask collects the answers of all replicas: how many there are nobody says. take returns
// whose an answer is and whether it is the last of theirs. The inbox has to be a private one.
func ask[T any](ctx context.Context, nc *nats.Conn, subject string, request any, take func(*T) (string, bool, error)) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("ask the callout: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(subject, inbox, data); err != nil {
		return fmt.Errorf("ask the callout: %w", err)
	}
	answering := make(map[string]bool) // true until the last of theirs came
	var failed error
	for patience := serveTime; ; {
		waiting, cancel := context.WithTimeout(ctx, patience)
		message, err := sub.NextMsgWithContext(waiting)
		cancel()
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return fault.New(fault.NotFound, "no callout answers in this account: is it running, and are these the creds of its user?")
		case errors.Is(err, context.DeadlineExceeded) && len(answering) > 0:
			return failed
		case err != nil:
			return fault.Wrap(fault.Unavailable, err, "the callout does not answer: %v", err)
		}
		answer := new(T)
		if err := json.Unmarshal(message.Data, answer); err != nil {
			return fault.New(fault.Malformed, "the callout's answer cannot be read")
		}
		replica, last, refused := take(answer)
		answering[replica], failed = !last, errors.Join(failed, refused)
		patience = nextAnswer
		for _, more := range answering {
			if more {
				patience = serveTime
			}
		}
	}
}
