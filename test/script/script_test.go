// Package script_test runs the scripts in script/: what people do with the real program,
// each with a real hub of its own, and what an attacker tries beside them.
//
// In a script `keyhall` is the program itself as a separate process, and `attack` the
// attacker's (package test/attack). The other commands beyond testscript's own are:
//
//	hub start|stop|kill|restart [NAME]   a hub with its data in $WORK/NAME; sets $HUB, $HUB_NATS,
//	                                     $HUB_INVITE, $HUB_DATA (other names: $NAME, …); it
//	                                     logs at level $HUB_LOG, if that is set
//	natsserver start|stop|stream|publish a NATS server that is no hub's; sets $NATS_URL
//	company start [OPTION...]            servers in operator mode that are no hub's, with AUTH, APP1
//	                                     and APP2; sets $COMPANY, $NATS_URL, $AUTH, $APP1, $APP2
//	[!] login CREDS USER PASSWORD ...    a client's login there, and what it may
//	docblock NAME FILE                   a block of docs/operations.md, to be run
//	signal NAME HUP|TERM                 to a program in the background
//	operator init|account|serve|push|user  an operator's keys, accounts, servers and users, as nsc
//	                                     makes them; sets $NATS_URL and $NAME for each account
//	nats [FLAGS] req|sub|pub|reply ...   an ordinary NATS client (see natsclient_test.go)
//	as NAME                              from here on with the profile of NAME
//	members NAME...                      they join; the first by the host's invite
//	start NAME COMMAND...                run in the background, output to $WORK/.log
//	tell NAME LINE                       type a line into it
//	await NAME PATTERN                   until its output matches
//	capture VAR NAME PATTERN             $VAR from its output: the first group of PATTERN
//	finish [-kill] NAME [STATUS]         interrupt it, wait for it, check its exit status
//	ended NAME [STATUS]                  wait for its own end, check its exit status
//	exits STATUS COMMAND...              run it and check its exit status exactly
//	until [-within TIME] [!] COMMAND...  run it again until it succeeds (with !: fails)
//	json VAR FIELD [KEY=VALUE...]        $VAR from the JSON lines of the last output
//	certificate NAME                     for a hub: chain.pem, key.pem, and ca.pem that vouches for them
//	fill FILE BYTES [SEED]               a file of bytes that look random
//	letters FILE TEXT TIMES              a file of one line
//	[!] same FILE FILE                   byte for byte
//	sametree DIR DIR                     the same plain files, byte for byte
//	less NUMBER NUMBER                   the first is below the second
//	[!] traces FILE DIR...               the content of FILE stands in some file below DIR
//	[!] parts DIR                        an unfinished download lies below DIR
//	copytree FROM TO                     a folder as it is, for later or from before
//	filename FILE GO-QUOTED-NAME         give FILE a name that a script can't spell
package script_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"keyhall.dev/keyhall/internal/cli"
	"keyhall.dev/keyhall/test/attack"
)

// atOnce is how many scripts run at a time: each has a hub of its own, and the programs
// of several people.
const atOnce = "2"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"keyhall": func() { os.Exit(cli.Main()) },
		"nsc":     func() { os.Exit(standIn()) },
		"attack":  func() { os.Exit(attack.Main()) },
		"nats":    func() { os.Exit(natsMain()) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "script",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hub": hubCommand, "natsserver": natsServer, "operator": operatorCommand, "company": company, "login": login, "docblock": docBlock, "signal": signalCommand, "as": as, "members": members,
			"certificate": certificate, "start": startCommand, "tell": tell, "await": await, "capture": capture, "finish": finish, "ended": ended,
			"exits": exits, "until": until, "json": jsonField,
			"fill": fill, "letters": letters, "same": same, "sametree": sametree, "less": less, "traces": traces, "parts": parts, "filename": filename, "copytree": copytree,
		},
		Condition:          condition,
		RequireUniqueNames: true,
	})
}

// setup gives a script a home folder that is nobody's, so that no profile of whoever runs
// the tests is ever touched.
func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home", "nobody")
	env.Setenv("HOME", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(home, ".local", "share"))
	env.Setenv("TZ", "UTC")
	// Built to look for data races, every program would wait a second before it ends.
	env.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	s := newStage(env.T().(testing.TB), env.WorkDir)
	env.Values[stageKey{}] = s
	env.Defer(s.checkBlunders)
	return os.MkdirAll(home, 0o700)
}

// condition knows [root]: whom the permissions of files do not stop.
func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, errUnknownCondition(name)
}
