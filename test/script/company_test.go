package script_test

import (
	"slices"
	"strings"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"

	"keyhall.dev/keyhall/internal/natstest"
)

// company is `company start [OPTION...]` and `company user ACCOUNT NAME`: servers in operator
// mode that are no hub's, with the accounts SYS, AUTH, APP1 and APP2, as natstest.Company has
// them. The options are default-sentinel, plain (AUTH has no xkey), all-accounts, cluster and
// jetstream. It sets $COMPANY, the folder with the files of its operator, $NATS_URL, and $AUTH,
// $APP1 and $APP2, the keys of the accounts, and $AUTH_USER, the key of the user of auth.creds.
func company(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "company")
	const usage = "company start [OPTION...] | user ACCOUNT NAME"
	need(ts, args, 1, -1, usage)
	s := stageOf(ts)
	switch {
	case args[0] == "start" && s.company == nil:
		s.company = startCompany(ts, args[1:])
	case args[0] == "user" && len(args) == 3 && s.company != nil:
		s.company.User(companyAccount(ts, args[1]), args[2], nil)
	default:
		ts.Fatalf("usage: %s", usage)
	}
}

func startCompany(ts *testscript.TestScript, names []string) *natstest.Company {
	options := natstest.CompanyOptions{Server: func(o *server.Options) { o.AuthTimeout = 10 }}
	store := false
	for _, name := range names {
		switch name {
		case "default-sentinel":
			options.DefaultSentinel = true
		case "plain":
			options.NoXKey = true
		case "all-accounts":
			options.Allowed = []string{"*"}
		case "cluster":
			options.Servers = 3
		case "jetstream":
			options.JetStream = true
		case "store":
			options.NoCallout, store = true, true
		default:
			ts.Fatalf("a company has no option %q", name)
		}
	}
	c := natstest.StartCompany(stageOf(ts).t, options)
	ts.Setenv("COMPANY", c.Dir)
	ts.Setenv("NATS_URL", c.URL())
	ts.Setenv("AUTH_USER", c.AuthUser)
	for _, account := range []*natstest.CompanyAccount{c.AUTH, c.APP1, c.APP2, c.SYS} {
		ts.Setenv(account.Name, account.ID)
	}
	if store {
		keepStore(ts, c)
	}
	return c
}

func companyAccount(ts *testscript.TestScript, name string) *natstest.CompanyAccount {
	c := stageOf(ts).company
	for _, account := range []*natstest.CompanyAccount{c.SYS, c.AUTH, c.APP1, c.APP2} {
		if account.Name == name {
			return account
		}
	}
	ts.Fatalf("the company has no account %q", name)
	return nil
}

// login is `[!] login CREDS USER PASSWORD [in ACCOUNT] [may|maynot pub|sub SUBJECT]...`: a
// client's login, in which "-" stands for nothing said, and then what it is allowed.
func login(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 3, -1, "login CREDS USER PASSWORD [in ACCOUNT] [may|maynot pub|sub SUBJECT]...")
	for i, arg := range args[:3] {
		if arg == "-" {
			args[i] = ""
		}
	}
	creds := args[0]
	if creds != "" {
		creds = ts.MkAbs(creds)
	}
	c := stageOf(ts).company
	options := []nats.Option{nats.CustomInboxPrefix("_INBOX_" + args[1]), nats.Name(args[1])}
	if args[1] == "" {
		options = options[1:]
	} else {
		options = append(options, nats.UserInfo(args[1], args[2]))
	}
	nc, err := c.Connect(creds, options...)
	switch {
	case neg && err == nil:
		ts.Fatalf("%s was let in", args[1])
	case neg:
		return
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	defer nc.Close()
	for rest := args[3:]; len(rest) > 0; {
		if rest[0] == "in" && len(rest) > 1 {
			if id := placeOf(ts, nc); id != companyAccount(ts, rest[1]).ID {
				ts.Fatalf("%s is in account %s", args[1], id)
			}
			rest = rest[2:]
			continue
		}
		need(ts, rest, 3, -1, "may|maynot pub|sub SUBJECT")
		refused := tries(ts, nc, rest[1], rest[2])
		if (rest[0] == "may") == (refused != nil) {
			ts.Fatalf("%s %v: %v", args[1], rest[:3], refused)
		}
		rest = rest[3:]
	}
}

// placeOf is the account in which the servers have put a connection.
func placeOf(ts *testscript.TestScript, nc *nats.Conn) string {
	id, err := nc.GetClientID()
	ts.Check(err)
	for _, s := range stageOf(ts).company.Servers {
		if s.ID() != nc.ConnectedServerId() {
			continue
		}
		conns, err := s.Connz(&server.ConnzOptions{Username: true, CID: id})
		ts.Check(err)
		if at := slices.IndexFunc(conns.Conns, func(info *server.ConnInfo) bool { return info.Cid == id }); at >= 0 {
			return conns.Conns[at].Account
		}
	}
	ts.Fatalf("no server knows the connection")
	return ""
}

// tries publishes or subscribes, and is what the server says against it.
func tries(ts *testscript.TestScript, nc *nats.Conn, what, subject string) error {
	before := nc.LastError()
	switch what {
	case "pub":
		ts.Check(nc.Publish(subject, []byte("x")))
	case "sub":
		_, err := nc.SubscribeSync(subject)
		ts.Check(err)
	default:
		ts.Fatalf("clients cannot %q", what)
	}
	ts.Check(nc.FlushTimeout(patience))         // a refusal is there before the answer to this
	if last := nc.LastError(); last != before { // each refusal is an error of its own
		return last
	}
	return nil
}

// signalCommand is `signal NAME HUP|TERM`.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "signal")
	need(ts, args, 2, 2, "signal NAME HUP|TERM")
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	number, known := signals[strings.ToUpper(args[1])]
	if !known {
		ts.Fatalf("signal knows HUP and TERM")
	}
	ts.Check(taskOf(ts, args[0]).cmd.Process.Signal(number))
}
