package event_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/event"
)

// agree fails unless what Explain reports is what Verify says: that all holds, or the same
// kind of error first.
func agree(t interface {
	Helper()
	Errorf(format string, args ...any)
}, what string, verified error, report *event.Report,
) {
	t.Helper()
	explained := report.Err()
	if (verified == nil) != (explained == nil) {
		t.Errorf("%s: Verify says %v, Explain %v", what, verified, explained)
	}
	for _, one := range known {
		if errors.Is(verified, one) != errors.Is(explained, one) {
			t.Errorf("%s: Verify says %v, Explain %v", what, verified, explained)
		}
	}
	if len(report.Findings) == 0 || (report.Event == nil && explained == nil) {
		t.Errorf("%s: nothing is reported", what)
	}
}

// mutants are changes that somebody may make to a message on its way.
func mutants(r *rapid.T, msg, other *nats.Msg) *nats.Msg {
	msg = clone(msg)
	for range rapid.IntRange(0, 3).Draw(r, "changes") {
		var names []string
		for name := range msg.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		name := "none"
		if len(names) > 0 {
			name = rapid.SampledFrom(names).Draw(r, "header")
		}
		switch rapid.IntRange(0, 7).Draw(r, "change") {
		case 0:
			delete(msg.Header, name)
		case 1:
			msg.Header.Add(name, msg.Header.Get(name))
		case 2:
			if value := msg.Header[name]; len(value) > 0 && value[0] != "" {
				i := rapid.IntRange(0, len(value[0])-1).Draw(r, "at")
				msg.Header[name] = []string{value[0][:i] + string(value[0][i]^1) + value[0][i+1:]}
			}
		case 3:
			msg.Header[name] = other.Header[name]
		case 4:
			msg.Data = other.Data
		case 5:
			if len(msg.Data) > 0 {
				msg.Data[rapid.IntRange(0, len(msg.Data)-1).Draw(r, "at")] ^= 1
			}
		case 6:
			msg.Data = msg.Data[:rapid.IntRange(0, len(msg.Data)).Draw(r, "length")]
		case 7:
			msg.Subject = "orders.old"
		}
	}
	return msg
}

func TestExplainHoldsExactlyWhatVerifyAccepts(t *testing.T) {
	company := newCompany(t)
	alice, bob, carol := company.hire(), company.hire(), company.hire()
	all := specimens(t, alice, bob)
	names := []string{"plain", "chained", "derived", "of a batch"}
	now := time.Now()
	held := 0
	rapid.Check(t, func(r *rapid.T) {
		v, w := all[rapid.SampledFrom(names).Draw(r, "event")], all[rapid.SampledFrom(names).Draw(r, "other")]
		form := rapid.SampledFrom([]event.Form{event.Headers, event.Compact}).Draw(r, "form")
		msg := mutants(r, v.Msg(form), w.Msg(form))
		at := rapid.SampledFrom([]event.Moment{
			{Stored: now}, {Stored: now}, {}, {Now: now.Add(24 * time.Hour)}, {Stored: now.Add(-time.Hour)},
		}).Draw(r, "moment")
		believed := rapid.SampledFrom([]*person{alice, alice, carol}).Draw(r, "believed")
		// Two readers, so that neither knows what the other has learned.
		verified := func() error {
			read, err := event.ReadMsg(clone(msg))
			if err != nil {
				return err
			}
			return bob.manager(believed).Verify(t.Context(), read, at, tokens{})
		}()
		agree(r, "a message", verified, bob.manager(believed).ExplainMsg(t.Context(), clone(msg), at, tokens{}))
		if verified == nil {
			held++
		}
	})
	if held == 0 {
		t.Error("nothing ever held")
	}
}

// found is the finding of a check, and whether there is one that failed.
func found(t *testing.T, r *event.Report, check event.Check) event.Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f event.Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("nothing was found about %s: %+v", check, r.Findings)
	}
	return r.Findings[i]
}

func TestExplainJudgesTheRestWhenOneThingIsWrong(t *testing.T) {
	company := newCompany(t)
	alice, bob, carol := company.hire(), company.hire(), company.hire()
	v := specimens(t, alice, bob)["plain"]
	tampered := v.Msg(event.Headers)
	tampered.Data = []byte("two")
	renamed := v.Msg(event.Headers)
	renamed.Header["ce-type"] = []string{"refund"}
	unsigned := v.Msg(event.Headers)
	unsigned.Header["Keyhall-Access"] = []string{"nothing"}
	garbled := v.Msg(event.Headers)
	garbled.Header["ce-keyhalltoken"] = []string{"!"}
	for name, row := range map[string]struct {
		msg      *nats.Msg
		believed *person
		wrong    []event.Check
		unjudged []event.Check
		judged   int
	}{
		"as it is":      {v.Msg(event.Headers), alice, nil, nil, 12},
		"another body":  {tampered, alice, []event.Check{event.CheckBody}, nil, 12},
		"another type":  {renamed, alice, []event.Check{event.CheckForm}, nil, 12},
		"a stranger":    {v.Msg(event.Headers), carol, []event.Check{event.CheckBelieved}, nil, 12},
		"no token":      {unsigned, alice, []event.Check{event.CheckToken}, []event.Check{event.CheckDevice, event.CheckBelieved, event.CheckValid}, 12},
		"no event":      {garbled, alice, []event.Check{event.CheckForm}, nil, 2},
		"both are gone": {tampered, carol, []event.Check{event.CheckBody, event.CheckBelieved}, nil, 12},
	} {
		t.Run(name, func(t *testing.T) {
			report := bob.manager(row.believed).ExplainMsg(t.Context(), row.msg, event.Moment{}, nil)
			if len(report.Findings) != row.judged {
				t.Errorf("%d findings: %+v", len(report.Findings), report.Findings)
			}
			for _, f := range report.Findings {
				if (f.Err != nil) != slices.Contains(row.wrong, f.Check) || f.Unjudged != slices.Contains(row.unjudged, f.Check) {
					t.Errorf("%s: %v, unjudged: %v", f.Check, f.Err, f.Unjudged)
				}
			}
		})
	}
	if says := found(t, bob.manager(alice).ExplainMsg(t.Context(), tampered, event.Moment{}, nil), event.CheckSignature).Says; !strings.Contains(says, alice.device.String()) {
		t.Errorf("the signature: %q", says)
	}
}

func TestExplainFollowsATrailHopByHop(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	all := specimens(t, alice, bob)
	data, err := all["derived"].JSON()
	if err != nil {
		t.Fatal(err)
	}
	reader := bob.manager(alice)
	hop := found(t, reader.ExplainJSON(t.Context(), data, event.Moment{}, nil), event.CheckHop)
	if hop.Err != nil || !strings.Contains(hop.Says, all["plain"].Event.ID.String()) {
		t.Errorf("%+v", hop)
	}
	batch := found(t, reader.Explain(t.Context(), all["of a batch"], event.Moment{}, nil), event.CheckSignature)
	if batch.Err != nil || !strings.Contains(batch.Says, "over 3 events of which this is number 2") {
		t.Errorf("%+v", batch)
	}
}

func TestTheCompactFormIsExplainedWithATokenThatTravelledElsewhere(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	v := specimens(t, alice, bob)["plain"]
	reader := bob.manager(alice)
	if err := reader.ExplainCompact(t.Context(), v.Event.Encode(), alice.access, event.Moment{}).Err(); err != nil {
		t.Errorf("with its token: %v", err)
	}
	report := reader.ExplainCompact(t.Context(), v.Event.Encode(), "", event.Moment{})
	if !errors.Is(report.Err(), event.ErrAccess) || found(t, report, event.CheckSignature).Err != nil {
		t.Errorf("without: %+v", report)
	}
	report = reader.ExplainCompact(t.Context(), v.Event.Encode(), bob.access, event.Moment{})
	if !errors.Is(found(t, report, event.CheckDevice).Err, event.ErrAccess) {
		t.Errorf("with another's: %+v", report)
	}
	derived := specimens(t, alice, bob)["derived"].Event.Encode()
	if err := reader.ExplainCompact(t.Context(), derived, alice.access, event.Moment{}).Err(); !errors.Is(err, event.ErrTrail) {
		t.Errorf("without its trail: %v", err)
	}
}

func TestReceiveTakesWhatVerifyTakes(t *testing.T) {
	company := newCompany(t)
	alice, bob, carol := company.hire(), company.hire(), company.hire()
	v := specimens(t, alice, bob)["plain"]
	r, err := bob.manager(alice).Receive(t.Context(), v, event.Moment{}, nil)
	if err != nil || r.Access.Account != alice.account.Public() || string(r.Data) != "one" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := bob.manager(carol).Receive(t.Context(), v, event.Moment{}, nil); !errors.Is(err, event.ErrUntrusted) {
		t.Errorf("a stranger's: %v", err)
	}
}
