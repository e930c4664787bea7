package registry_test

import (
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/registry"
)

const account = "AAPP"

// What a server says becomes connections that have a place, in the account that was asked for.
func FuzzServersWords(f *testing.F) {
	f.Add([]byte(`{"server":{"id":"NS"},"data":{"connections":[{"cid":5,"kind":"Client","type":"nats","ip":"127.0.0.1","start":"2026-01-02T03:04:05Z","name":"till","authorized_user":"alice","account":"AAPP"}]}}`))
	f.Add([]byte(`{"server":{"id":"NS"},"client":{"id":5,"acc":"AAPP","user":"alice","host":"127.0.0.1","name":"till","client_type":"nats","start":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{"server":{"id":"N.>"},"client":{"id":5,"acc":"AAPP"},"data":{"connections":[{"cid":5,"account":"AAPP"}]}}`))
	f.Add([]byte(`{"server":{"id":"NS"},"client":{"id":0,"acc":"B"},"data":{"connections":[{"cid":0},{"cid":1,"account":"B"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(c registry.Connection) {
			server, client, err := registry.ParseID(c.ID())
			if c.Account != account || (len(c.Server) <= 64 && (err != nil || server != c.Server || client != c.Client)) {
				t.Fatalf("%+v: %v", c, err)
			}
			if callout.CheckToken(c.Server) != nil { // it becomes a part of a subject
				t.Fatalf("server %q", c.Server)
			}
		}
		list, err := registry.ReadConnections(data, account)
		if err == nil {
			for _, c := range list {
				check(c)
			}
		}
		if c, err := registry.ReadEvent(data, account); err == nil {
			check(c)
		}
	})
}

// A command is understood whole, and names one person or one connection; an answer goes to a
// private inbox and nowhere else.
func FuzzCommands(f *testing.F) {
	f.Add([]byte(`{"name":"alice","seconds":60,"why":"left"}`), "_INBOX_a.b.c")
	f.Add([]byte(`{"session":"NS/5"}`), "_INBOX.b")
	f.Add([]byte(`{"session":"*/5","name":"x"}`), "keyhall.callout.revoke")
	f.Add([]byte(`{"seconds":-1,"name":"x"}`), "_INBOX_>.b")
	f.Add([]byte(``), "_INBOX_a.>")
	f.Fuzz(func(t *testing.T, data []byte, reply string) {
		request, err := registry.ReadRevoke(data)
		if err == nil && ((request.Name == "") == (request.Session == "") || request.Seconds < 0 ||
			request.Seconds > int64(registry.MaxDenial/time.Second) || strings.ContainsAny(request.Session, "*> ")) {
			t.Fatalf("%+v", request)
		}
		if registry.PrivateInbox(reply) && (!strings.HasPrefix(reply, "_INBOX_") || strings.ContainsAny(reply, "*> \r\n") || strings.HasPrefix(reply, "_INBOX_.")) {
			t.Fatalf("an answer goes to %q", reply)
		}
	})
}
