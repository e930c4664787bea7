package cli

import (
	"errors"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/callout/reissue"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
	"keyhall.dev/keyhall/trust"
)

const responseTime = 2 * time.Minute // within which a user answers, where it may

// reissued is what callout reissue prints with --json. It holds no secret.
type reissued struct {
	User        string     `json:"user"`
	Key         string     `json:"key"`
	Revoked     string     `json:"revoked"` // the old key
	Creds       string     `json:"creds"`
	InboxPrefix string     `json:"inbox_prefix,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	Servers     int        `json:"servers"`
}

// reissueFlags are the flags of callout reissue.
type reissueFlags struct {
	adminFlags
	out, account, operator, system       string
	allowPub, denyPub, allowSub, denySub []string
	answers, servers                     int
	private                              bool
	expires                              life
	kept                                 bool // the new creds are in out
}

func (p *program) calloutReissue() *cobra.Command {
	var f reissueFlags
	c := &cobra.Command{
		Use: "reissue OLD.creds --out NEW.creds --account-key FILE --operator-key FILE --system-creds FILE " +
			"[--private-inbox] [--allow-pub SUBJECT]... [--deny-pub ...] [--allow-sub ...] [--deny-sub ...]",
		Short: "Give a user new creds with other rights, and take the old ones back",
		Long: "Issue a user of an account in operator mode new creds, and revoke the old ones: whoever\n" +
			"is connected with them is put out on every server, and not let in again. A user JWT is\n" +
			"good whatever is issued after it, so that new creds alone take nothing from anybody.\n\n" +
			"What flags do not say stays as it was; a flag for subjects replaces all of its kind.\n" +
			"--private-inbox allows the inbox of the new key, and no other. The account's JWT is\n" +
			"read from the servers, signed by the operator's key and pushed: let nobody else change\n" +
			"the account meanwhile. No key leaves this machine.",
		Example: "  keyhall callout reissue joe.creds --out joe2.creds --private-inbox --allow-pub 'services.>' --account-key APP1.nk --operator-key operator.nk --system-creds sys.creds",
		Args:    needs("OLD.creds"),
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	f.register(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		made, err := f.run(cmd, p, args[0])
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(made)
			return nil
		}
		p.out.line("creds         %s", made.Creds)
		if made.InboxPrefix != "" {
			p.out.line("inbox prefix  %s", made.InboxPrefix)
		}
		p.out.line("key           %s", made.Key)
		p.out.line("revoked       %s, on %s", made.Revoked, count(made.Servers, "server", "servers"))
		return nil
	}
	return c
}

func (f *reissueFlags) register(c *cobra.Command) {
	f.adminFlags.register(c)
	flags := c.Flags()
	flags.StringVar(&f.out, "out", "", "where the new creds file goes")
	flags.StringVar(&f.account, "account-key", "", "the file with the seed of the account, or of a signing key of it")
	flags.StringVar(&f.operator, "operator-key", "", "the file with the seed of the operator's key that signs the account's JWT")
	flags.StringVar(&f.system, "system-creds", "", "the creds file of a user of the system account")
	flags.StringArrayVar(&f.allowPub, "allow-pub", nil, "a subject that it may publish; may come many times")
	flags.StringArrayVar(&f.denyPub, "deny-pub", nil, "one that it may not")
	flags.StringArrayVar(&f.allowSub, "allow-sub", nil, "a subject that it may subscribe to; may come many times")
	flags.StringArrayVar(&f.denySub, "deny-sub", nil, "one that it may not")
	flags.IntVar(&f.answers, "allow-responses", 0, "how many messages it may answer to a request with")
	flags.IntVar(&f.servers, "servers", 0, "how many servers have to take the revocation (default: as many as answer)")
	flags.BoolVar(&f.private, "private-inbox", false, "allow it an inbox of its own and no other")
	flags.Var(&f.expires, "expires", "how long the new creds are good (default: as long as the old ones)")
	for _, name := range []string{"out", "account-key", "operator-key", "system-creds"} {
		_ = c.MarkFlagFilename(name)
	}
}

func (f *reissueFlags) check(c *cobra.Command) error {
	for name, value := range map[string]string{"out": f.out, "account-key": f.account, "operator-key": f.operator, "system-creds": f.system} {
		if value == "" {
			return wrong(c, "reissue needs --%s", name)
		}
	}
	if f.answers < 0 || f.servers < 0 {
		return wrong(c, "--allow-responses and --servers are numbers from 0")
	}
	return nil
}

func (f *reissueFlags) run(c *cobra.Command, p *program, path string) (*reissued, error) {
	if err := f.check(c); err != nil {
		return nil, err
	}
	old, err := keyfile.ReadCreds(path)
	if err != nil {
		return nil, err
	}
	system, err := keyfile.ReadCreds(f.system)
	if err != nil {
		return nil, err
	}
	o := reissue.Options{Old: old.Claims, Servers: f.servers, Change: f.change(c), Keep: f.keep}
	if o.Signer, err = keyfile.ReadPair(f.account, nkeys.PrefixByteAccount); err != nil {
		return nil, err
	}
	if o.Operator, err = keyfile.ReadPair(f.operator, nkeys.PrefixByteOperator); err != nil {
		return nil, err
	}
	sys, err := f.connect(c, p, system, f.system, "")
	if err != nil {
		return nil, err
	}
	defer sys.Close()
	made, err := reissue.Reissue(c.Context(), sys, o)
	if err != nil {
		if f.kept { // nobody has them yet; the old ones are there to try it again with
			err = errors.Join(err, os.Remove(f.out))
		}
		return nil, err
	}
	result := &reissued{User: made.Claims.Name, Key: made.Claims.Subject, Revoked: old.Claims.Subject, Creds: f.out, Servers: made.Servers}
	if f.private {
		result.InboxPrefix = inboxOfUser(made.Claims.Subject)
	}
	if made.Claims.Expires != 0 {
		expires := time.Unix(made.Claims.Expires, 0).UTC()
		result.Expires = &expires
	}
	return result, nil
}

// keep writes the new creds; a file that is there is not written over.
func (f *reissueFlags) keep(creds []byte) error {
	file, err := newPrivateFile(f.out)
	if fault.Is(err, fault.Taken) {
		return fault.Wrap(fault.Taken, err, "the file %s exists already; choose another --out", f.out)
	}
	if err != nil {
		return err
	}
	f.kept = true
	_, err = file.Write(creds)
	return errors.Join(err, file.Sync(), file.Close())
}

// inboxOfUser is the private inbox prefix of a user's key.
func inboxOfUser(key string) string { return "_INBOX_" + key }

// change makes the rights of the new JWT those that the flags say.
func (f *reissueFlags) change(c *cobra.Command) func(*jwt.UserClaims) {
	return func(claims *jwt.UserClaims) {
		for name, list := range map[string]struct {
			to   *jwt.StringList
			from []string
		}{
			"allow-pub": {&claims.Pub.Allow, f.allowPub}, "deny-pub": {&claims.Pub.Deny, f.denyPub},
			"allow-sub": {&claims.Sub.Allow, f.allowSub}, "deny-sub": {&claims.Sub.Deny, f.denySub},
		} {
			if c.Flags().Changed(name) {
				*list.to = list.from
			}
		}
		if c.Flags().Changed("allow-responses") {
			claims.Resp = nil
			if f.answers > 0 {
				claims.Resp = &jwt.ResponsePermission{MaxMsgs: f.answers, Expires: responseTime}
			}
		}
		if f.private {
			claims.Sub.Allow.Add(inboxOfUser(claims.Subject) + ".>")
			claims.Sub.Deny.Add(trust.SharedInboxes()...)
		}
		if f.expires != 0 {
			claims.Expires = time.Now().Add(time.Duration(f.expires)).Unix()
		}
	}
}

// isAccount reports whether a text is the public key of an account.
func isAccount(text string) bool {
	_, err := trust.ParsePublicKey(trust.Account, text)
	return err == nil
}
