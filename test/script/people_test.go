package script_test

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

const homeVariable = "KEYHALL_HOME"

// as is `as NAME`: from here on every program has the profile of NAME.
func as(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "as")
	need(ts, args, 1, 1, "as NAME")
	become(ts, args[0])
}

func become(ts *testscript.TestScript, name string) {
	ts.Setenv(homeVariable, stageOf(ts).path("home", name))
}

// members is `members NAME...`: they join the hub, the first by the host's invite, the
// others by the first one's, and the first goes on.
func members(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "members")
	need(ts, args, 1, -1, "members NAME...")
	invite := ts.Getenv("HUB_INVITE")
	for i, name := range args {
		if i > 0 {
			become(ts, args[0])
			ts.Check(ts.Exec("keyhall", "invite"))
			invite = strings.TrimSpace(ts.ReadFile("stdout"))
		}
		become(ts, name)
		ts.Check(ts.Exec("keyhall", "join", ts.Getenv("HUB"), "--invite", invite, "--handle", name, "--device", "laptop"))
	}
	become(ts, args[0])
}
