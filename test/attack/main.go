// Package attack is a program for somebody who does not keep to the rules: what the
// scripts of test/script try against a hub and against people, that the command line could
// not do. It speaks NATS and the protocol of docs/protocol directly, with what the attacker
// has: the keys of a member's profile ($KEYHALL_HOME), an invite, or nothing at all.
//
// Every verb does one thing, says what came of it on standard output and ends with status
// 0; when it was refused, it says by what on standard error and ends with status 1. So the
// same verb shows an attack that fails, and beside it that somebody entitled succeeds.
// Status 2 is a wrong call, status 3 an attack that could not be carried out. As neither
// shows anything, both leave a note in $WORK by which the script fails, whatever it expects.
//
// It is part of the tests and of nothing else.
package attack

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// patience bounds a whole run of a verb that ends by itself.
const patience = 60 * time.Second

// errRefused marks what was refused, as against a verb that could not be carried out.
var errRefused = errors.New("refused")

// errUsage is the error of a wrong call.
var errUsage = errors.New("usage")

// verb is one thing the attacker can do.
type verb struct {
	usage string
	lasts bool // until it is interrupted
	run   func(*call) error
}

// call is one run of a verb.
type call struct {
	ctx   context.Context
	flags *flag.FlagSet
	args  []string // without the flags
	login *string
}

func verbs() map[string]verb {
	return map[string]verb{
		"connect":   {"connect", false, connect},
		"guess":     {"guess LOGIN...", false, guess},
		"subscribe": {"subscribe SUBJECT", false, subscribe},
		"listen":    {"listen SUBJECT...", true, listen},
		"publish":   {"publish [-reply SUBJECT] [-header K:V] SUBJECT [DATA]", false, publish},
		"request":   {"request [-header K:V] SUBJECT [DATA]", false, request},
		"append":    {"append [-author A] [-head HASH] [-next N] [-key FILE] CHAIN TYPE BODY", false, appendEvent},
		"claim":     {"claim DEVICE-KEY NAME", false, claim},
		"epoch":     {"epoch [-spoil ACCOUNT] [-only ACCOUNT] [-name NAME] ROOM", false, newEpoch},
		"say":       {"say [-author A] [-subject A] [-old] [-times N] [-header K:V] [-hub DIR] ROOM TEXT", false, say},
		"recall":    {"recall ROOM", false, recall},
		"keep":      {"keep ROOM FILE", false, keep},
		"open":      {"open [flags] OWNER CATALOG GRANT [ENTRY]", false, open},
		"own":       {"own [flags] CATALOG LISTING CONTENT", true, own},
		"admit":     {"admit [flags] CODE HANDLE", false, admit},
		"lineage":   {"lineage N PREFIX", false, lineage},
		"flood":     {"flood shares|devices|invites|rooms|reads|answers N MORE", false, flood},
		"backup":    {"backup [-under KEY] [-cosign WHO] CODE", false, backup},
		"fetch":     {"fetch [-key KEY] CODE", false, fetch},
		"code-key":  {"code-key CODE", false, codeKey},
		"device":    {"device [-how HOW] [-keep DIR] NAME", false, bringDevice},
		"account":   {"account ACCOUNT SUBJECT", false, accountJWT},
		"web":       {"web HUB_URL GO-QUOTED-BYTES", false, web},
		"crowd":     {"crowd N URL", true, crowd},
		"part":      {"part TARGET FILE", false, partName},
		"repeat":    {"repeat [-into ROOM] [-header K:V] ROOM ID", false, repeat},
		"raw":       {"raw STEP...", false, raw},
		"hold":      {"hold [-deaf] STEP...", true, hold},
		"socket":    {"socket [-origin ORIGIN] HUB_URL", false, socket},
		"brief":     {"brief LIFE", false, brief},
		"forge":     {"forge [-account A] [-by SEED-FILE] [-bearer] FILE", false, forgeCreds},
		"rig":       {"rig HUB-DATA BUCKET KEY OLD NEW", false, rig},
		"insert":    {"insert [flags] HUB-DATA CHAIN TYPE BODY", false, insert},
		"thief":     {"thief CREDS PROFILE", false, thief},
		"keys":      {"keys HUB-DATA", false, showKeys},
		"pose":      {"pose -proof relayed|stale|rewritten|nonsense HUB_URL", true, pose},
	}
}

// Main runs the program and returns its exit status.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return blunder(2, err)
	case !errors.Is(err, errRefused):
		return blunder(3, err)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Blunders is the file in $WORK that says what went wrong with the attacker's program.
const Blunders = ".blunders"

func blunder(status int, err error) int {
	fmt.Fprintln(os.Stderr, err)
	file, openErr := os.OpenFile(filepath.Join(os.Getenv("WORK"), Blunders), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if openErr != nil {
		return status
	}
	defer file.Close()
	fmt.Fprintf(file, "attack %q: %v\n", os.Args[1:], err)
	return status
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: attack VERB", errUsage)
	}
	v, known := verbs()[args[0]]
	if !known {
		names := make([]string, 0, len(verbs()))
		for name := range verbs() {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("%w: there is no %q among %v", errUsage, args[0], names)
	}
	if !v.lasts {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	c := &call{ctx: ctx, flags: flag.NewFlagSet(args[0], flag.ContinueOnError), args: args[1:]}
	c.login = c.flags.String("login", "own", "how to connect: see login.go")
	err := v.run(c)
	if errors.Is(err, errUsage) {
		return fmt.Errorf("%w: attack %s", err, v.usage)
	}
	return err
}

// parse reads the flags that a verb has defined, and checks the number of arguments.
func (c *call) parse(least, most int) error {
	if err := c.flags.Parse(c.args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	c.args = c.flags.Args()
	if len(c.args) < least || (most >= 0 && len(c.args) > most) {
		return errUsage
	}
	return nil
}

// arg is the argument at a place, "" where it was left out.
func (c *call) arg(place int) string {
	if place < len(c.args) {
		return c.args[place]
	}
	return ""
}

func report(format string, values ...any) { fmt.Printf(format+"\n", values...) }
