package event

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// Report is everything that can be judged about something that is to be an event.
type Report struct {
	// Event is what could be read of it, nil if nothing could. It is to be believed only
	// if Err returns nil.
	Event    *Event
	Findings []Finding
}

// Finding is what one check says, for a person to read.
type Finding struct {
	Check Check
	Says  string // what the event, or its access token, says; empty where it cannot be read
	Err   error  // why it does not hold; nil if it does
	// Unjudged says that the check could not be made, because of what another one found.
	Unjudged bool
}

// Err is the error of the first check that failed: that with which Verify refuses the event.
// nil: all holds.
func (r *Report) Err() error {
	for _, f := range r.Findings {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}

// Explain makes every check that Verify makes and reports on each, whatever the others
// found.
func (m *TokenManager) Explain(ctx context.Context, v *Envelope, at Moment, from AccessSource) *Report {
	return m.explain(ctx, &reading{Envelope: *v}, "read already", at, from)
}

// ExplainMsg is ReadMsg and Explain. What ReadMsg would refuse is judged as far as it can be
// read.
func (m *TokenManager) ExplainMsg(ctx context.Context, msg *nats.Msg, at Moment, from AccessSource) *Report {
	form := "a message in the compact form"
	if _, headers := msg.Header[headerVersion]; headers {
		form = "a message with CloudEvents headers"
	}
	return m.explain(ctx, readMsg(msg), form, at, from)
}

// ExplainJSON is ReadJSON and Explain. What ReadJSON would refuse is judged as far as it can
// be read.
func (m *TokenManager) ExplainJSON(ctx context.Context, data []byte, at Moment, from AccessSource) *Report {
	return m.explain(ctx, readJSON(data), "the JSON form", at, from)
}

// ExplainCompact is DecodeAny and Explain for the compact form alone, beside which an access
// token travels another way. An event that came out of another one does not hold without
// its trail.
func (m *TokenManager) ExplainCompact(ctx context.Context, data []byte, access string, at Moment) *Report {
	r := new(reading)
	e, err := DecodeAny(data)
	r.note(err)
	if r.Event, r.Access = e, access; access != "" {
		r.Which = accessHash(access)
	}
	r.note(r.checkTrail())
	return m.explain(ctx, r, "the compact form", at, nil)
}

func (m *TokenManager) explain(ctx context.Context, r *reading, form string, at Moment, from AccessSource) *Report {
	report := &Report{Event: r.Event}
	for _, problem := range r.problems {
		report.Findings = append(report.Findings, Finding{Check: CheckForm, Says: form, Err: problem})
	}
	if len(r.problems) == 0 {
		report.Findings = append(report.Findings, Finding{Check: CheckForm, Says: form})
	}
	for one := range m.verdicts(ctx, &r.Envelope, at, from) {
		if r.Event == nil {
			report.Findings = append(report.Findings, Finding{Check: CheckToken, Says: one.access.says(), Err: one.err})
			break // there is nothing else to judge
		}
		f := Finding{Check: one.check, Says: r.says(one, at), Err: one.err}
		if one.access == nil && (one.check == CheckDevice || one.check == CheckBelieved || one.check == CheckValid) {
			f.Err, f.Unjudged = nil, true // the access token's own finding says why
		}
		report.Findings = append(report.Findings, f)
	}
	return report
}

// says is what the event and its access token say about the subject of a check.
func (r *reading) says(one verdict, at Moment) string {
	e := r.Event
	switch one.check {
	case CheckToken:
		return one.access.says()
	case CheckDigest:
		return e.Digest.String()
	case CheckBody:
		return fmt.Sprintf("%d bytes; the hash that was signed is %s", len(e.Body), Hash(e.bodyHash))
	case CheckSignature:
		return e.saysSignature()
	case CheckDevice:
		return e.Device.Text(trust.Device) + " of " + e.Author.Text(trust.Account)
	case CheckBelieved:
		return one.access.saysVoucher()
	case CheckValid:
		return one.access.saysLife()
	case CheckRevoked:
		if one.err != nil {
			return e.Device.Text(trust.Device)
		}
		return "nobody took back the word of " + e.Device.Text(trust.Device)
	case CheckAudience:
		if e.Audience == "" {
			return "everybody"
		}
		return e.Audience
	case CheckTime:
		return e.saysTime(at)
	case CheckTrail:
		return r.saysTrail()
	case CheckHop:
		line, _, _ := strings.Cut(Trail(nil).Path(r.Trail[one.hop-1].Event, nil), "\n")
		return fmt.Sprint(one.hop, strings.TrimPrefix(line, "1"))
	}
	return ""
}

func (r *reading) saysTrail() string {
	switch len(r.Trail) {
	case 0:
		return "it came out of no other event"
	case 1:
		return "it came out of another event"
	}
	return fmt.Sprintf("it came out of %d others, one out of the other", len(r.Trail))
}

func (e *Event) saysSignature() string {
	text := "by " + e.Device.Text(trust.Device)
	if e.batch != nil {
		text += fmt.Sprintf(", over %d events of which this is number %d, by a path of %d hashes", e.batch.count, e.batch.index+1, len(e.batch.path))
	}
	return text
}

func (e *Event) saysTime(at Moment) string {
	text := "made " + e.Time.Format(timeLayout)
	if !at.Stored.IsZero() {
		text += ", stored " + at.Stored.UTC().Format(timeLayout)
	}
	if !e.NotAfter.IsZero() {
		text += ", to be acted on until " + e.NotAfter.Format(timeLayout)
	}
	return text
}

// says is what an access token is. a may be nil.
func (a *Access) says() string {
	if a == nil {
		return ""
	}
	text := fmt.Sprintf("%q, of %s, issued by %s", a.Name, a.Device.Text(trust.Device), a.Account.Text(trust.Account))
	if !a.direct {
		text = fmt.Sprintf("%q, of %s, issued by a signing key of %s", a.Name, a.Device.Text(trust.Device), a.Account.Text(trust.Account))
	}
	if !a.Operator.IsZero() {
		text += ", whose own is issued by " + a.Operator.Text(trust.Operator)
	}
	return text
}

func (a *Access) saysVoucher() string {
	if a == nil {
		return ""
	}
	text := "account " + a.Account.Text(trust.Account)
	if !a.Operator.IsZero() {
		text += " or operator " + a.Operator.Text(trust.Operator)
	}
	return text
}

func (a *Access) saysLife() string {
	if a == nil {
		return ""
	}
	text := "from " + a.Issued.Format(time.RFC3339)
	for _, end := range []time.Time{a.Expires, a.accountExpires} {
		if !end.IsZero() {
			text += " until " + end.Format(time.RFC3339)
		}
	}
	return text
}
