package script_test

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// hub is a hub of a script. Started again, it listens where it did before.
type hub struct {
	name   string
	data   string
	http   string // host:port to listen on; free ones at first
	nats   string
	origin string
}

// ready is the line that keyhall up --json prints.
type ready struct {
	HTTP   string `json:"http"`
	NATS   string `json:"nats"`
	Invite string `json:"invite"`
}

// hubCommand is `hub start|stop|kill|restart [NAME]`.
func hubCommand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "hub")
	need(ts, args, 1, 2, "hub start|stop|kill|restart [NAME]")
	name := "hub"
	if len(args) > 1 {
		name = args[1]
	}
	h := hubOf(ts, name)
	switch args[0] {
	case "start":
		h.start(ts)
	case "stop":
		h.stop(ts)
	case "kill":
		taskOf(ts, name).kill()
		delete(stageOf(ts).tasks, name)
	case "restart":
		h.stop(ts)
		h.start(ts)
	default:
		ts.Fatalf("hub does not know %q", args[0])
	}
}

func hubOf(ts *testscript.TestScript, name string) *hub {
	s := stageOf(ts)
	if s.hubs[name] == nil {
		s.hubs[name] = &hub{name: name, data: s.path(name), http: "127.0.0.1:0", nats: "127.0.0.1:-1"}
	}
	return s.hubs[name]
}

func (h *hub) start(ts *testscript.TestScript) {
	command := []string{"keyhall", "up", "--json", "--data", h.data, "--http", h.http, "--nats", h.nats}
	if level := ts.Getenv("HUB_LOG"); level != "" {
		command = append(command, "--log-level", level)
	}
	t := launch(ts, h.name, command)
	ts.Defer(func() { h.checkEnd(stageOf(ts)) })
	came := eventually(func() bool { return strings.HasSuffix(read(t.out), "}\n") || !t.running() })
	var line ready
	if err := json.Unmarshal([]byte(read(t.out)), &line); !came || err != nil {
		ts.Fatalf("the hub did not start: %v\n%s", err, t.output())
	}
	h.settle(ts, line)
	variable := strings.ToUpper(h.name)
	ts.Setenv(variable, h.origin)
	ts.Setenv(variable+"_NATS", line.NATS)
	ts.Setenv(variable+"_DATA", h.data)
	if line.Invite != "" {
		ts.Setenv(variable+"_INVITE", line.Invite)
	}
}

// settle keeps the addresses that the first start chose.
func (h *hub) settle(ts *testscript.TestScript, line ready) {
	origin, err := url.Parse(line.HTTP)
	ts.Check(err)
	nats, err := url.Parse(line.NATS)
	ts.Check(err)
	h.origin, h.http, h.nats = line.HTTP, "127.0.0.1:"+origin.Port(), nats.Host
}

// checkEnd ends a hub that still runs when its script is over. A hub that finds a data race
// in itself, where it is built to look for them, ends with another status than 0; a panic
// that it survived is in its log. Whatever an attacker did, neither may be.
func (h *hub) checkEnd(s *stage) {
	t := s.tasks[h.name]
	if t == nil {
		return
	}
	delete(s.tasks, h.name)
	err := t.interrupt()
	output := t.output()
	if err != nil || t.cmd.ProcessState.ExitCode() != 0 || strings.Contains(output, "panic") {
		s.t.Errorf("the hub ended badly (%v, %s):\n%s", err, t.cmd.ProcessState, output)
	}
}

// stop ends the hub as its host would.
func (h *hub) stop(ts *testscript.TestScript) {
	t := taskOf(ts, h.name)
	ts.Check(t.interrupt())
	t.conclude(ts, nil, false)
}
