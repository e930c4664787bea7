package script_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"

	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/test/attack"
)

// patience bounds everything that a script waits for; it is no measure of anything.
const patience = 60 * time.Second

// pause is between two looks at something that is waited for.
const pause = 20 * time.Millisecond

// stage is what one script has under way.
type stage struct {
	t     testing.TB
	work  string
	tasks map[string]*task // by the name that the script gave
	hubs  map[string]*hub
	nats  *natsserver.Server // that is no hub's

	company *natstest.Company
	nsc     *nsc
}

type stageKey struct{}

func newStage(t testing.TB, work string) *stage {
	return &stage{t: t, work: work, tasks: make(map[string]*task), hubs: make(map[string]*hub)}
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func (s *stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.work}, parts...)...)
}

type errUnknownCondition string

func (e errUnknownCondition) Error() string { return fmt.Sprintf("unknown condition %q", string(e)) }

// checkBlunders fails a script in which the attacker's program did not do what it was told:
// an attack that was never made was not refused.
func (s *stage) checkBlunders() {
	if blunders := read(s.path(attack.Blunders)); blunders != "" && !s.t.Failed() {
		s.t.Errorf("not an attack:\n%s", blunders)
	}
}

// need ends the script with the usage of a command unless it has so many arguments.
func need(ts *testscript.TestScript, args []string, least, most int, usage string) {
	if len(args) < least || (most >= 0 && len(args) > most) {
		ts.Fatalf("usage: %s", usage)
	}
}

// plain refuses a "!" in front of a command for which it would mean nothing.
func plain(ts *testscript.TestScript, neg bool, command string) {
	if neg {
		ts.Fatalf("! %s is not supported", command)
	}
}

// eventually polls until cond holds and reports whether it ever did.
func eventually(cond func() bool) bool {
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func pattern(ts *testscript.TestScript, text string) *regexp.Regexp {
	re, err := regexp.Compile("(?m)" + text)
	ts.Check(err)
	return re
}
