package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/trust"
)

// auditFlags are those of audit.
type auditFlags struct {
	place         calloutPlace
	since         life
	follow        bool
	user, outcome string
	signers       []string

	names   []string // as which user is granted: the name itself, or an account of a hub
	devices []string // on a hub, of user: logins name themselves by them
}

var auditOutcomes = []string{
	string(callout.Allowed), string(callout.Refused), string(callout.Disproved), string(callout.Throttled),
	string(callout.Shed), string(callout.Late), string(callout.Malformed), string(callout.Failed),
}

func (p *program) audit() *cobra.Command {
	f := new(auditFlags)
	c := &cobra.Command{
		Use:   "audit [--data DIR | --nats URL --creds FILE] [--since D] [--user NAME] [--outcome O] [--follow]",
		Short: "Read who logged in, who was refused and why, and verify each entry",
		Long: "Show what a callout has decided, oldest first: on the machine of a hub, or over NATS for\n" +
			"a callout that runs on its own, with the creds of the user that writes the audit.\n\n" +
			"Each entry is signed by the callout. What is not, or was changed, is shown as such with\n" +
			"its place in the stream, and the command ends with status 3; so are places that are\n" +
			"empty, and entries that the callout itself says are lost.",
		Example: "  keyhall audit --since 24h\n" +
			"  keyhall audit --user alice --outcome wrong --follow\n" +
			"  keyhall audit --nats nats://127.0.0.1:4222 --creds auth.creds --json | jq .entry.reason",
		Args: needs(),
	}
	f.place.register(c)
	flags := c.Flags()
	flags.Var(&f.since, "since", "only what was stored within this time: 90m, 24h, 30d")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what comes")
	flags.StringVar(&f.user, "user", "", "only entries about this name, as granted or as the login said it; on a hub a handle or account key")
	flags.StringVar(&f.outcome, "outcome", "", "only logins that ended so: "+list(auditOutcomes, "or"))
	flags.StringArrayVar(&f.signers, "signer", nil, "with --creds: the user (U...) of a callout that is believed (default: that of --creds); may come many times")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(cmd); err != nil {
			return err
		}
		return p.readAudit(cmd, f)
	}
	return c
}

func (f *auditFlags) check(c *cobra.Command) error {
	if err := f.place.check(c); err != nil {
		return err
	}
	if len(f.signers) > 0 && !f.place.onItsOwn() {
		return wrong(c, "--signer goes with --creds: a hub's callout is known")
	}
	for _, signer := range f.signers {
		if _, err := publicKey(c, "signer", signer, trust.Device); err != nil {
			return err
		}
	}
	if f.outcome != "" && !strings.Contains(" "+strings.Join(auditOutcomes, " ")+" ", " "+f.outcome+" ") {
		return wrong(c, "--outcome: %q is none; there are %s", f.outcome, list(auditOutcomes, "and"))
	}
	return nil
}

func (p *program) readAudit(c *cobra.Command, f *auditFlags) error {
	var since time.Time
	if f.since > 0 {
		since = time.Now().Add(-time.Duration(f.since))
	}
	bad := 0
	show := func(record *audit.Record) error {
		if record.Err != nil || record.Missing > 0 {
			bad++
		}
		p.showRecord(f, record)
		return p.out.failed
	}
	var err error
	if f.place.onItsOwn() {
		err = p.readAuditOutside(c, f, since, show)
	} else {
		err = f.place.hub(c, func(m *hub.OnMachine) error {
			if err := f.meet(c.Context(), m); err != nil {
				return err
			}
			return m.Audit(c.Context(), since, f.follow, show)
		})
	}
	if err == nil && bad > 0 {
		return partly{fault.New(fault.Refused, "the audit does not hold in %s", count(bad, "place", "places"))}
	}
	return err
}

// meet finds out who the person of a hub is.
func (f *auditFlags) meet(ctx context.Context, m *hub.OnMachine) error {
	if f.user == "" {
		return nil
	}
	who, err := m.Who(ctx, f.user)
	if err != nil {
		return err
	}
	f.names, f.devices = []string{who.Account}, who.Devices
	return nil
}

func (p *program) readAuditOutside(c *cobra.Command, f *auditFlags, since time.Time, show func(*audit.Record) error) error {
	nc, own, err := p.connectOutside(&f.place)
	if err != nil {
		return err
	}
	defer nc.Close()
	reader := audit.Reader{Conn: nc, Devices: f.signers, Since: since, Follow: f.follow}
	if len(reader.Devices) == 0 {
		reader.Devices = []string{own.key.String()}
	}
	return reader.Read(c.Context(), show)
}

// auditLine is a record as --json has it. One of entry, closed, gap and error is there.
type auditLine struct {
	Seq     uint64        `json:"seq"`
	Time    time.Time     `json:"time"` // when it was stored
	Signer  string        `json:"signer,omitempty"`
	Missing uint64        `json:"missing,omitempty"` // empty places before it
	Entry   *audit.Entry  `json:"entry,omitempty"`
	Closed  *audit.Closed `json:"closed,omitempty"`
	Gap     *audit.Gap    `json:"gap,omitempty"`
	Error   string        `json:"error,omitempty"` // why it is no entry
}

// wants reports whether a record is to be shown. What does not hold always is.
func (f *auditFlags) wants(r *audit.Record) bool {
	switch {
	case r.Err != nil || r.Gap != nil || r.Missing > 0:
		return true
	case r.Closed != nil:
		return f.outcome == "" && (f.user == "" || f.means(r.Closed.Name))
	}
	return (f.outcome == "" || string(r.Login.Outcome) == f.outcome) &&
		(f.user == "" || f.means(r.Login.Name) || r.Login.Name == "" && f.means(r.Login.User))
}

// means reports whether a name, or what a login said, is that of the one user.
func (f *auditFlags) means(text string) bool {
	if text == f.user || slices.Contains(f.names, text) {
		return true
	}
	return slices.ContainsFunc(strings.Fields(text), func(word string) bool { return slices.Contains(f.devices, word) })
}

func (p *program) showRecord(f *auditFlags, r *audit.Record) {
	if !f.wants(r) {
		return
	}
	if p.json {
		line := auditLine{Seq: r.Seq, Time: r.Stored.UTC(), Signer: r.Device, Missing: r.Missing, Entry: r.Login, Closed: r.Closed, Gap: r.Gap}
		if r.Err != nil {
			line.Error = r.Err.Error()
		}
		p.out.object(line)
		return
	}
	if r.Missing > 0 {
		p.out.line("MISSING   %s before %d: somebody removed them", count(int(r.Missing), "entry", "entries"), r.Seq) //nolint:gosec // as many as are stored
	}
	switch {
	case r.Err != nil:
		p.out.line("%s  NOT THE CALLOUT'S  place %d: %v", utc(r.Stored), r.Seq, r.Err)
	case r.Login != nil:
		p.out.line("%s", describeLogin(r.Login))
	case r.Closed != nil:
		p.out.line("%s", describeClosed(r))
	case r.Gap != nil:
		p.out.line("%s  gap        %s lost, from %s to %s", utc(r.Signed), count(int(r.Gap.Lost), "entry", "entries"), utc(r.Gap.From), utc(r.Gap.To))
	}
}

// words are "name value" pairs of a line, those with a value.
func words(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(&b, "  %s %s", pairs[i], pairs[i+1])
		}
	}
	return b.String()
}

// describeLogin writes a decision on one line. A client's own words stand in quotation marks.
func describeLogin(e *audit.Entry) string {
	who := e.Name
	if who == "" {
		who = quoted(e.User)
	}
	if who == "" {
		who = "-" // its columns stay where they are
	}
	where := e.ServerName
	if where == "" {
		where = e.Server
	}
	if e.CID != 0 {
		where += fmt.Sprintf("/%d", e.CID)
	}
	expires := ""
	if e.Expires != nil {
		expires = e.Expires.UTC().Format(time.RFC3339)
	}
	more := ""
	if e.More > 0 {
		more = strconv.Itoa(e.More)
	}
	took := (time.Duration(e.Microseconds) * time.Microsecond).Round(100 * time.Microsecond).String()
	return fmt.Sprintf("%s  %-9s  %s%s", utc(e.Decided), e.Outcome, who, words(
		"from", e.Host, "by", e.Backend, "because", e.Rule, "into", e.Account, "until", expires,
		"reason", quoted(e.Reason), "client", quoted(e.Client), "at", where, "took", took, "more like it", more,
	))
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%q", text)
}

func describeClosed(r *audit.Record) string {
	c := r.Closed
	var ids []string
	for _, one := range c.Closed {
		ids = append(ids, fmt.Sprintf("%s/%d", one.Server, one.CID))
	}
	failed, until := "", ""
	if c.Failed > 0 {
		failed = count(c.Failed, "connection", "connections")
	}
	if c.DeniedUntil != nil {
		until = c.DeniedUntil.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s  closed     %s  %s%s", utc(r.Signed), c.Name, count(len(c.Closed)+c.More, "connection", "connections"), words(
		"for", c.By, "why", quoted(c.Why), "denied until", until, "not closed", failed, "at", strings.Join(ids, ","),
	))
}
