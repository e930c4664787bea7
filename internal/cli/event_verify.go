package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
)

// finding is a line of event verify with --json.
type finding struct {
	Check string `json:"check"`
	Holds *bool  `json:"holds"` // null: said by the event, or nothing to judge
	Says  string `json:"says,omitempty"`
	Why   string `json:"why,omitempty"`
}

func (p *program) eventVerify() *cobra.Command {
	var belief beliefFlags
	var at, stored timeFlag
	c := &cobra.Command{
		Use:   "verify FILE|- --trust KEY",
		Short: "Explain a captured event: what holds and what does not",
		Long: "Read one event from a file, or - for standard input, and check it as a subscriber would,\n" +
			"without a server: a line for each check with ok, or NO and why. Whatever fails, the rest\n" +
			"is judged as well. The exit status is 0 if all of it holds and 1 if something does not.\n\n" +
			"The file holds one of:\n" +
			"  the JSON form           keyhall event publish --json, or subscribe --json\n" +
			"  a message, exactly      nats sub SUBJECT --dump DIR; it has its headers and data\n" +
			"  a message, as shown     nats sub SUBJECT: [#1] Received on \"SUBJECT\", then the headers, an\n" +
			"                          empty line, and the data; line ends that were added are left out\n" +
			"  the compact form        the payload of a compact event, binary or in base64; its access\n" +
			"                          token, which travels in a header, comes with --access FILE\n\n" +
			"An event is to be taken when it was made, or when a stream stored it. Of an older one say\n" +
			"when you had it (--at), or when it was stored (--stored).",
		Example: "  keyhall event verify captured.json --trust A...\n" +
			"  keyhall event verify captured.json --trust A... --stored 2026-01-31T12:00:00Z\n" +
			"  keyhall event subscribe 'orders.>' --trust A... --json --count 1 | keyhall event verify - --trust A...",
		Args:              needs("FILE"),
		ValidArgsFunction: completeFirstFile,
	}
	belief.register(c)
	c.Flags().Var(&at, "at", "judge it as of this time, like 2026-01-31T12:00:00Z (default now)")
	c.Flags().Var(&stored, "stored", "a stream stored it at this time")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := belief.manager(cmd, nil)
		if err != nil {
			return err
		}
		tokens, err := belief.tokens(nil)
		if err != nil {
			return err
		}
		captured, err := p.readCapture(args[0])
		if err != nil {
			return err
		}
		report := captured.explain(cmd.Context(), m, tokens, event.Moment{Now: at.Time, Stored: stored.Time})
		p.showExplained(report)
		return p.verdict(report, captured, &belief, stored.IsZero() && at.IsZero())
	}
	return c
}

// showExplained prints the findings, and between them what the event says that nobody can
// hold against anything.
func (p *program) showExplained(report *event.Report) {
	e := report.Event
	for _, f := range report.Findings {
		if f.Check == event.CheckTrail && e != nil {
			p.showFinding("chain", nil, saysChain(e), nil)
			p.showFinding("sealed", nil, saysSealed(e), nil)
		}
		holds := f.Err == nil
		if f.Unjudged {
			p.showFinding(string(f.Check), nil, "cannot be judged without an access token", nil)
		} else {
			p.showFinding(string(f.Check), &holds, f.Says, f.Err)
		}
		if f.Check == event.CheckForm && e != nil && f == lastForm(report) {
			p.showFinding("event", nil, fmt.Sprintf("%s, type %s, on %s", e.ID, e.Type, e.Subject), nil)
		}
	}
}

// lastForm is the last finding about the form: there may be several.
func lastForm(report *event.Report) (last event.Finding) {
	for _, f := range report.Findings {
		if f.Check == event.CheckForm {
			last = f
		}
	}
	return last
}

func (p *program) showFinding(check string, holds *bool, says string, err error) {
	if p.json {
		line := finding{Check: check, Holds: holds, Says: says}
		if err != nil {
			line.Why = err.Error()
		}
		p.out.object(line)
		return
	}
	mark := "-"
	if holds != nil {
		mark = map[bool]string{true: "ok", false: "NO"}[*holds]
	}
	if err != nil {
		why := err.Error()
		if says != "" && !strings.Contains(why, says) {
			why += " (" + says + ")"
		}
		says = why
	}
	p.out.line("%-3s %-9s  %s", mark, check, says)
}

func saysChain(e *event.Event) string {
	switch e.Seq {
	case 0:
		return "not numbered"
	case 1:
		return "number 1 of its publisher's on this subject"
	}
	return fmt.Sprintf("number %d of its publisher's on this subject, after %s", e.Seq, e.Prev)
}

func saysSealed(e *event.Event) string {
	text := "no: whoever can read the subject reads it"
	if !e.Epoch.IsZero() {
		text = "yes, in the epoch that began with " + e.Epoch.String()
	}
	if e.Content != "" {
		text += "; content " + e.Content
	}
	if e.Receipt != "" {
		text += "; a receipt is wanted on " + e.Receipt
	}
	return text
}

// verdict ends verify, with what may help.
func (p *program) verdict(report *event.Report, captured *capture, belief *beliefFlags, asOfNow bool) error {
	err := report.Err()
	if err == nil {
		p.done("All of it holds.")
		return nil
	}
	failed := 0
	for _, f := range report.Findings {
		if f.Err == nil {
			continue
		}
		failed++
		switch {
		case f.Check == event.CheckBelieved && len(belief.trust) == 0:
			p.warn("you named nobody whom you believe; do it with --trust")
		case f.Check == event.CheckTime && asOfNow && captured.stored != "":
			p.warn("whoever captured it says that it was stored then; to take their word: --stored %s", captured.stored)
		case f.Check == event.CheckTime && asOfNow && report.Event.Time.Before(time.Now()):
			p.warn("if you know when you had it, or when a stream stored it: --at TIME, or --stored TIME")
		case f.Check == event.CheckHop && errors.Is(f.Err, event.ErrNoAccess):
			p.warn("its access token travelled with that event; --access FILE names it")
		case f.Check == event.CheckToken && captured.compact != nil && len(belief.access) == 0:
			p.warn("beside the compact form the access token travels in a header; --access FILE names it")
		}
	}
	if failed == 1 {
		return fault.Wrap(fault.Refused, err, "the event does not hold: %v", err)
	}
	return fault.Wrap(fault.Refused, err, "the event does not hold, for %d reasons; the first: %v", failed, err)
}
