package event

import (
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// FuzzRequest: whatever message a service gets, it answers nowhere but below the private
// inbox of the device that the message says to be of, under its id; and whatever comes to who
// asked is the answer to that request alone, or none.
func FuzzRequest(f *testing.F) {
	account, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	m, err := NewTokenManager(Rules{Accounts: []string{account.String()}})
	if err != nil {
		f.Fatal(err)
	}
	access, err := jwt.NewUserClaims(device.String()).Encode(account.NKey())
	if err != nil {
		f.Fatal(err)
	}
	if err := m.SignAs(device, access); err != nil {
		f.Fatal(err)
	}
	issue := func(e *Event, options ...PublishOption) *Envelope {
		draft := &Envelope{Event: e}
		for _, option := range options {
			option(draft)
		}
		v, err := m.Issue(e)
		if err != nil {
			f.Fatal(err)
		}
		v.Trail = draft.Trail
		return v
	}
	request := issue(&Event{Type: requestType, Subject: "services.greet", Body: []byte("hi")})
	asked, err := m.Receive(f.Context(), request, Moment{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	inbox := ReplySubject(request.Event)
	for _, form := range []Form{Headers, Compact} {
		for _, v := range []*Envelope{
			request,
			issue(&Event{Type: "request.more", Subject: "services.greet"}),
			issue(&Event{Type: answerType, Subject: inbox, Body: []byte("hello")}, From(asked)),
			issue(&Event{Type: refusalType, Subject: "_R_.a.b", Body: []byte("no")}, From(asked)),
			issue(&Event{Type: answerType, Subject: inbox}),
		} {
			msg := v.Msg(form)
			f.Add(msg.Subject, ReplySubject(v.Event), fuzzHeader(msg.Header), msg.Data, false)
			f.Add(inbox, "_R_.a.b", fuzzHeader(msg.Header), msg.Data, true)
		}
	}
	f.Fuzz(func(t *testing.T, subject, reply, headers string, data []byte, imported bool) {
		msg := &nats.Msg{Subject: subject, Reply: reply, Header: make(nats.Header), Data: data}
		for line := range strings.Lines(headers) {
			if name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); found {
				msg.Header[name] = append(msg.Header[name], value)
			}
		}
		if v, err := readRequest(msg, imported); err == nil {
			own := trust.InboxPrefix(v.Event.Device) + ".event." + v.Event.ID.String()
			if msg.Reply != own && !(imported && strings.HasPrefix(msg.Reply, "_R_.")) {
				t.Errorf("answered on %q", msg.Reply)
			}
			if v.Event.Subject != subject {
				t.Errorf("a request on %q, which came on %q", v.Event.Subject, subject)
			}
		}
		if v, err := readAnswer(msg, request.Event, imported); err == nil {
			if v.Event.Cause != request.Event.Hash() || len(v.Trail) == 0 {
				t.Error("an answer to another request")
			}
			if v.Event.Subject != subject && !(imported && strings.HasPrefix(v.Event.Subject, "_R_.")) {
				t.Errorf("an answer on %q, which came on %q", v.Event.Subject, subject)
			}
		}
	})
}

func fuzzHeader(header nats.Header) string {
	var b strings.Builder
	for name, values := range header {
		for _, value := range values {
			b.WriteString(name + ":" + value + "\n")
		}
	}
	return b.String()
}
