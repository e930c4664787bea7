package script_test

import (
	"context"
	"fmt"
	"strings"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
)

// natsServer is `natsserver start [PASSWORD]`, `natsserver stop`, `natsserver stream NAME
// SUBJECT` and `natsserver publish SUBJECT DATA [HEADER=VALUE...]`: a NATS server that is no
// hub's and, without a password, lets in everybody. It sets $NATS_URL and, with a password,
// $NATS_OPEN, which lacks it.
func natsServer(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "natsserver")
	const usage = "natsserver start [PASSWORD] | stop | stream NAME SUBJECT | publish SUBJECT DATA [HEADER=VALUE...]"
	need(ts, args, 1, -1, usage)
	s := stageOf(ts)
	switch {
	case args[0] == "start" && s.nats == nil:
		s.nats = startNATS(ts, strings.Join(args[1:], ""))
	case args[0] == "stop" && s.nats != nil:
		stopNATS(s.nats)
		s.nats = nil
	case args[0] == "stream" && len(args) == 3:
		withNATS(ts, func(nc *nats.Conn) {
			js, err := jetstream.New(nc)
			ts.Check(err)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: args[1], Subjects: []string{args[2]}})
			ts.Check(err)
		})
	case args[0] == "publish" && len(args) >= 3:
		withNATS(ts, func(nc *nats.Conn) {
			msg := nats.NewMsg(args[1])
			msg.Data = []byte(args[2])
			for _, pair := range args[3:] {
				name, value, _ := strings.Cut(pair, "=")
				msg.Header[name] = append(msg.Header[name], value)
			}
			ts.Check(nc.PublishMsg(msg))
			ts.Check(nc.Flush())
		})
	default:
		ts.Fatalf("usage: %s", usage)
	}
}

func startNATS(ts *testscript.TestScript, password string) *natsserver.Server {
	options := &natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: stageOf(ts).path("nats"), NoLog: true, NoSigs: true,
	}
	if password != "" {
		options.Username, options.Password = "somebody", password
	}
	server, err := natsserver.NewServer(options)
	ts.Check(err)
	server.Start()
	ts.Defer(func() { stopNATS(server) })
	if !server.ReadyForConnections(patience) {
		ts.Fatalf("the NATS server does not come up")
	}
	ts.Setenv("NATS_URL", server.ClientURL())
	if password != "" {
		ts.Setenv("NATS_URL", fmt.Sprintf("nats://somebody:%s@%s", password, server.Addr()))
		ts.Setenv("NATS_OPEN", server.ClientURL())
	}
	return server
}

func stopNATS(server *natsserver.Server) {
	server.Shutdown()
	server.WaitForShutdown()
}

func withNATS(ts *testscript.TestScript, do func(*nats.Conn)) {
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	defer nc.Close()
	do(nc)
}
