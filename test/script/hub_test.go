package script_test

import (
	"encoding/json"
	"net/url"
	"os"
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

// hubCommand is `hub start|stop|kill|restart [NAME]` and `hub restore DIR [NAME]`.
func hubCommand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "hub")
	need(ts, args, 1, 3, "hub start|stop|kill|restart [NAME] | hub restore DIR [NAME]")
	verb, args := args[0], args[1:]
	var backup string
	if verb == "restore" {
		need(ts, args, 1, 2, "hub restore DIR [NAME]")
		backup, args = ts.MkAbs(args[0]), args[1:]
	}
	name := "hub"
	if len(args) > 0 {
		name = args[0]
	}
	h := hubOf(ts, name)
	switch verb {
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
	case "restore":
		h.stop(ts)
		ts.Check(os.RemoveAll(h.data))
		ts.Check(os.CopyFS(h.data, os.DirFS(backup)))
		ts.Check(private(h.data))
		h.start(ts)
	default:
		ts.Fatalf("hub does not know %q", verb)
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
	t := launch(ts, h.name, []string{"keyhall", "up", "--json", "--data", h.data, "--http", h.http, "--nats", h.nats})
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

// stop ends the hub as its host would. A hub that finds a data race in itself, where it is
// built to look for them, ends with another status than 0.
func (h *hub) stop(ts *testscript.TestScript) {
	t := taskOf(ts, h.name)
	ts.Check(t.interrupt())
	t.conclude(ts, nil, false)
}
