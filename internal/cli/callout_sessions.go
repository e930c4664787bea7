package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
)

// calloutSession is a connection as --json has it.
type calloutSession struct {
	Session string    `json:"session"` // <server>/<number>
	Name    string    `json:"name"`    // a handle on a hub
	Account string    `json:"account"` // A…: on a hub the person's, else where the connection is
	Device  string    `json:"device,omitempty"`
	Host    string    `json:"host,omitempty"`
	Client  string    `json:"client,omitempty"`
	Backend string    `json:"backend,omitempty"`
	Rooms   []string  `json:"rooms,omitempty"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires,omitzero"`
}

func (p *program) calloutSessions() *cobra.Command {
	place, user := new(calloutPlace), ""
	c := &cobra.Command{
		Use:   "sessions [--user NAME] [--data DIR | --nats URL --creds FILE]",
		Short: "List who is connected",
		Long: "List the connections that a callout let in: on the machine of a hub its members' in rooms,\n" +
			"or over NATS those of a callout that runs on its own, from all of its replicas. If that\n" +
			"has a user of the system account, it lists everybody in its accounts: who came with\n" +
			"creds of their own stands there by the key of these.",
		Example: "  keyhall callout sessions\n" +
			"  keyhall callout sessions --user alice --nats nats://127.0.0.1:4222 --creds auth.creds --json",
		Args: needs(),
	}
	place.register(c)
	c.Flags().StringVar(&user, "user", "", "only this name; on a hub a handle or account key")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := place.check(cmd); err != nil {
			return err
		}
		if place.onItsOwn() {
			return p.sessionsOutside(cmd.Context(), place, user)
		}
		return place.hub(cmd, func(m *hub.OnMachine) error { return p.sessionsOfHub(cmd.Context(), m, user) })
	}
	return c
}

func (p *program) sessionsOfHub(ctx context.Context, m *hub.OnMachine, user string) error {
	answer, err := m.Sessions(ctx, user)
	if err != nil {
		return err
	}
	var list []calloutSession
	for _, s := range answer.Sessions {
		list = append(list, calloutSession{
			Session: s.Session, Name: s.Handle, Account: s.Account, Device: s.Device, Host: s.Host, Client: s.Program, Rooms: s.Rooms, Since: s.Since,
		})
	}
	p.showSessions(list)
	if answer.More > 0 {
		p.warn("%s more; ask for one person with --user", count(answer.More, "session is", "sessions are"))
	}
	return nil
}

func (p *program) sessionsOutside(ctx context.Context, place *calloutPlace, user string) error {
	nc, _, err := p.connectOutside(place)
	if err != nil {
		return err
	}
	defer nc.Close()
	found, closes, err := registry.Sessions(ctx, nc, registry.SessionsRequest{Name: user})
	if err != nil {
		return err
	}
	var list []calloutSession
	for i := range found {
		s := &found[i]
		list = append(list, calloutSession{
			Session: s.ID(), Name: s.Name, Account: s.Account, Host: s.Host, Client: s.Program, Backend: s.Backend, Since: s.Since, Expires: s.Expires,
		})
	}
	p.showSessions(list)
	if !closes {
		p.warn("the callout has no user of the system account: it lists what it let in itself since it began, and can close nothing")
	}
	return nil
}

func (p *program) showSessions(list []calloutSession) {
	if p.json {
		for _, s := range list {
			p.out.object(s)
		}
		return
	}
	t := new(table)
	t.row("NAME", "SINCE", "FROM", "CLIENT", "SESSION")
	for _, s := range list {
		name := s.Name
		if name == "" {
			name = s.Account
		}
		t.row(name, moment(s.Since), s.Host, s.Client, s.Session)
	}
	t.print(&p.out)
	if len(list) == 0 {
		p.out.line("Nobody is connected.")
	}
}

// revokeFlags are those of callout revoke.
type revokeFlags struct {
	place   calloutPlace
	session string
	keepOut life
	why     string
}

func (p *program) calloutRevoke() *cobra.Command {
	f := new(revokeFlags)
	c := &cobra.Command{
		Use:   "revoke NAME | --session ID [--for D] [--why TEXT] [--data DIR | --nats URL --creds FILE]",
		Short: "Close somebody's connections now, and keep them out for a time",
		Long: "Close the connections of somebody, or one of them, on every server. On a hub NAME is a\n" +
			"handle, and what is closed are the connections to rooms.\n\n" +
			"Whoever may still log in comes back at once, with the rights that they have now. --for\n" +
			"refuses the logins of the name for a time; who is never to come back has to lose the\n" +
			"right itself: in the users file, or by keyhall room revoke and device revoke on a hub.",
		Example: "  keyhall callout revoke alice\n" +
			"  keyhall callout revoke alice --for 24h --why \"left the team\" --nats nats://127.0.0.1:4222 --creds auth.creds\n" +
			"  keyhall callout revoke --session NABC.../17",
		Args: needs("[NAME]"),
	}
	f.place.register(c)
	flags := c.Flags()
	flags.StringVar(&f.session, "session", "", "close this one connection (keyhall callout sessions shows the ids)")
	flags.Var(&f.keepOut, "for", "refuse the name's logins for this time: 90m, 24h, 30d at most")
	flags.StringVar(&f.why, "why", "", "a reason, for the audit")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		if err := f.check(cmd, name); err != nil {
			return err
		}
		if f.place.onItsOwn() {
			return p.revokeOutside(cmd.Context(), f, name)
		}
		return f.place.hub(cmd, func(m *hub.OnMachine) error { return p.revokeOnHub(cmd.Context(), m, f, name) })
	}
	return c
}

func (f *revokeFlags) check(c *cobra.Command, name string) error {
	switch {
	case name == "" && f.session == "":
		return wrong(c, "callout revoke needs NAME or --session")
	case name != "" && f.session != "":
		return wrong(c, "callout revoke takes NAME or --session, not both")
	case f.session != "" && f.keepOut > 0:
		return wrong(c, "--for goes with NAME: it is a name whose logins are refused")
	case time.Duration(f.keepOut) > registry.MaxDenial:
		return wrong(c, "--for is 30d at most; take the right away instead")
	}
	if f.session != "" {
		if _, _, err := registry.ParseID(f.session); err != nil {
			return wrong(c, "--session: %s", sentence(err))
		}
	}
	return f.place.check(c)
}

// revoked is what callout revoke prints with --json.
type revoked struct {
	Closed      []string  `json:"closed"` // sessions
	Failed      int       `json:"failed,omitempty"`
	DeniedUntil time.Time `json:"denied_until,omitzero"`
	Kept        string    `json:"kept,omitempty"` // bucket or memory: where the denial is kept
}

func (p *program) revokeOnHub(ctx context.Context, m *hub.OnMachine, f *revokeFlags, name string) error {
	answer, err := m.CloseSessions(ctx, api.CloseRequest{
		Who: name, Session: f.session, Seconds: int64(time.Duration(f.keepOut) / time.Second), Why: f.why,
	})
	if err != nil {
		return err
	}
	done := revoked{Closed: answer.Closed, DeniedUntil: answer.DeniedUntil}
	if !done.DeniedUntil.IsZero() {
		done.Kept = registry.KeptInBucket
	}
	return p.showRevoked(done)
}

func (p *program) revokeOutside(ctx context.Context, f *revokeFlags, name string) error {
	nc, _, err := p.connectOutside(&f.place)
	if err != nil {
		return err
	}
	defer nc.Close()
	answers, err := registry.Revoke(ctx, nc, registry.RevokeRequest{
		Name: name, Session: f.session, Seconds: int64(time.Duration(f.keepOut) / time.Second), Why: f.why,
	})
	if err != nil {
		return err
	}
	done, closed, able := revoked{Closed: []string{}}, make(map[string]bool), false
	for _, answer := range answers {
		able = able || answer.Closes
		for _, id := range answer.Closed {
			if !closed[id] {
				closed[id], done.Closed = true, append(done.Closed, id)
			}
		}
		if answer.DeniedUntil != nil {
			done.DeniedUntil, done.Kept = *answer.DeniedUntil, answer.Kept
		}
		done.Failed = max(done.Failed, answer.Failed)
	}
	if able {
		done.Failed = 0 // what one replica could not close another one did
	}
	return p.showRevoked(done)
}

func (p *program) showRevoked(done revoked) error {
	if p.json {
		p.out.object(done)
	} else {
		for _, id := range done.Closed {
			p.out.line("closed  %s", id)
		}
		p.out.line("%s closed", count(len(done.Closed), "connection", "connections"))
		if len(done.Closed)+done.Failed == 0 {
			p.warn("nobody was connected like that; keyhall callout sessions shows who is")
		}
	}
	if !done.DeniedUntil.IsZero() {
		p.done("logins are refused until %s", moment(done.DeniedUntil))
		if done.Kept == registry.KeptInMemory {
			p.warn("who is refused is kept in memory alone: a callout that starts again, or joins, does not know (AUTH has no JetStream)")
		}
	}
	if done.Failed > 0 {
		return partly{fault.New(fault.Unavailable, "%s open: the callout has no user of the system account (system_creds); they end when they have to log in again",
			count(done.Failed, "connection stays", "connections stay"))}
	}
	return nil
}
