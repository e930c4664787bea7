package cli

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
)

const maxClaims = 1 << 20 // bytes of a file with claims

func (p *program) calloutExplain() *cobra.Command {
	var f calloutFlags
	var user, claims, data string
	var rooms []string
	c := &cobra.Command{
		Use:   "explain --user NAME [--rooms ROOM,...] [--claims FILE] [--config FILE | --data DIR]",
		Short: "Say what a login would get and why, without logging in",
		Long: "Say which backend would decide a login, by which rule, and what it would get: account,\n" +
			"permissions, inbox, and when it expires. Nobody logs in, no password is asked, and no\n" +
			"server is needed: what counts is the configuration as it is now. For bearer tokens,\n" +
			"--claims names a file with the claims of one, as JSON.\n\n" +
			"On a hub's machine, --data asks the running hub about a member and rooms. Who would be\n" +
			"refused is said with exit status 1.",
		Example: "  keyhall callout explain --user alice --config callout.yaml\n" +
			"  keyhall callout explain --claims token.json --config callout.yaml --json | jq .publish\n" +
			"  keyhall callout explain --user alice --rooms general --data ./data",
		Args: needs(),
	}
	f.register(c)
	c.Flags().StringVar(&user, "user", "", "who would log in: a name of the users file or, on a hub, a handle or account key")
	c.Flags().StringSliceVar(&rooms, "rooms", nil, "on a hub: the rooms that would be joined")
	c.Flags().StringVar(&claims, "claims", "", "a file with the claims of a bearer token, as JSON")
	c.Flags().StringVar(&data, "data", "", "ask the hub that runs on this data folder")
	_ = c.MarkFlagFilename("claims")
	_ = c.MarkFlagDirname("data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case user == "" && claims == "":
			return wrong(cmd, "explain needs --user or --claims: who would log in?")
		case data != "" && (f.file != "" || len(f.accounts) > 0 || f.said.Users != "" || claims != ""):
			return wrong(cmd, "--data asks a hub, which has no other configuration")
		case data == "" && len(rooms) > 0:
			return wrong(cmd, "--rooms are a hub's: it goes with --data")
		}
		query := callout.Query{User: user, Rooms: rooms}
		var err error
		if query.Claims, err = readClaims(claims); err != nil {
			return err
		}
		explanation, err := p.explainLogin(cmd, &f, data, query)
		if err != nil {
			return err
		}
		p.showExplanation(explanation)
		return nil
	}
	return c
}

func (p *program) explainLogin(cmd *cobra.Command, f *calloutFlags, data string, query callout.Query) (*callout.Explanation, error) {
	if data != "" {
		machine, err := hub.OpenOnMachine(cmd.Context(), data)
		if err != nil {
			return nil, err
		}
		defer machine.Close()
		return machine.Explain(cmd.Context(), query)
	}
	source, err := f.source(cmd, p)
	if err != nil {
		return nil, err
	}
	return source.Explain(cmd.Context(), query)
}

// readClaims reads what a bearer token holds; nothing for no file.
func readClaims(path string) (claims map[string]any, err error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := readAll(file, maxClaims)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, &claims) != nil || claims == nil {
		return nil, fault.New(fault.Malformed, "%s does not hold the claims of a token as a JSON object", path)
	}
	return claims, nil
}

func (p *program) showExplanation(e *callout.Explanation) {
	if p.json {
		p.out.object(e)
		return
	}
	account := e.Account
	if e.AccountName != "" {
		account = e.AccountName + " (" + e.Account + ")"
	}
	p.out.line("%s would be let in", e.Name)
	p.out.line("  backend    %s", e.Backend)
	p.out.line("  why        %s", e.Rule)
	p.out.line("  account    %s", account)
	if e.Scoped {
		p.out.line("  may        what the template of its signing key says")
	} else {
		p.showLists("publish", e.Publish)
		p.showLists("subscribe", e.Subscribe)
	}
	if len(e.Tags) > 0 {
		p.out.line("  tags       %s", strings.Join(e.Tags, ", "))
	}
	if e.Responses != nil {
		p.out.line("  answer     each message %s, within %s", times(e.Responses.Max), e.Responses.Within)
	}
	switch {
	case e.Inbox != "":
		p.out.line("  inbox      %s.>: the client has to use this prefix", e.Inbox)
	case e.Shared:
		p.out.line("  inbox      _INBOX.>, shared with everybody in the account who may")
	}
	if !e.Expires.IsZero() {
		p.out.line("  expires    %s, if it logged in now", moment(e.Expires))
	}
}

func (p *program) showLists(what string, lists callout.Lists) {
	allowed := "nothing"
	if len(lists.Allow) > 0 {
		allowed = strings.Join(lists.Allow, ", ")
	}
	p.out.line("  %-10s %s", what, allowed)
	if len(lists.Deny) > 0 && len(lists.Allow) > 0 {
		p.out.line("             but not %s", strings.Join(lists.Deny, ", "))
	}
}

func times(number int) string {
	if number == 1 {
		return "once"
	}
	return strconv.Itoa(number) + " times"
}
