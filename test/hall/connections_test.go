package hall_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

// onMachine is the hub as its host reaches it.
func onMachine(t *testing.T, hall *hubtest.Hall) *hub.OnMachine {
	t.Helper()
	m, err := hub.OpenOnMachine(hubtest.Context(t), hall.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func enter(t *testing.T, m *hubtest.Member) *client.Session {
	t.Helper()
	session, err := m.Enter(hubtest.Context(t), 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

// sessionsOf are the sessions of a handle that the host sees, or of all.
func sessionsOf(t *testing.T, m *hub.OnMachine, handle string) (ids []string) {
	t.Helper()
	answer, err := m.Sessions(hubtest.Context(t), handle)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Sessions {
		ids = append(ids, s.Session)
	}
	slices.Sort(ids)
	return ids
}

// entries are what the audit holds.
func entries(t *testing.T, m *hub.OnMachine, want func(*audit.Record) bool) (found []*audit.Record) {
	t.Helper()
	err := m.Audit(hubtest.Context(t), time.Time{}, false, func(record *audit.Record) error {
		if record.Err != nil {
			t.Errorf("an entry that does not verify: %v", record.Err)
		}
		if want(record) {
			found = append(found, record)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheHostSeesAndClosesConnectionsAndTheAuditTellsOfIt(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *hubtest.Hall{"a server of its own": hubtest.Start, "a server outside": hubtest.StartOutside} {
		t.Run(name, func(t *testing.T) {
			hall := start(t)
			alice, bob := hall.Join("alice"), hall.Join("bob")
			room(t, alice, bob)
			host := onMachine(t, hall)
			hers, his := enter(t, alice), enter(t, bob)
			hubtest.Eventually(t, "a session of each", func() bool {
				return len(sessionsOf(t, host, "alice")) == 1 && len(sessionsOf(t, host, "bob")) == 1
			})
			before := sessionsOf(t, host, "bob")
			herOwn := sessionsOf(t, host, "alice")
			// One session: she comes back at once, with a new one; his stays.
			answer, err := host.CloseSessions(hubtest.Context(t), api.CloseRequest{Session: herOwn[0], Why: "a test"})
			if err != nil || !slices.Equal(answer.Closed, herOwn) {
				t.Fatalf("%+v, %v", answer, err)
			}
			hubtest.Eventually(t, "she has another session", func() bool {
				now := sessionsOf(t, host, "alice")
				return len(now) == 1 && now[0] != herOwn[0]
			})
			says(t, alice, "back again", his)
			hubtest.Eventually(t, "what she spoke by is gone", func() bool { return len(sessionsOf(t, host, "alice")) == 1 })
			// Kept out: she does not come back.
			answer, err = host.CloseSessions(hubtest.Context(t), api.CloseRequest{Who: "alice", Seconds: 600})
			if err != nil || len(answer.Closed) != 1 || time.Until(answer.DeniedUntil) < 9*time.Minute {
				t.Fatalf("%+v, %v", answer, err)
			}
			hubtest.Eventually(t, "her refusals are written down", func() bool {
				return len(entries(t, host, func(r *audit.Record) bool {
					return r.Login != nil && r.Login.Outcome == callout.Refused && strings.Contains(r.Login.Reason, "kept out")
				})) > 0
			})
			if now := sessionsOf(t, host, ""); !slices.Equal(now, before) {
				t.Errorf("sessions %v, want his alone: %v", now, before)
			}
			says(t, bob, "still here", his)
			closed := entries(t, host, func(r *audit.Record) bool { return r.Closed != nil && r.Closed.By == audit.ByHost })
			if len(closed) != 2 || closed[0].Closed.Why != "a test" || closed[1].Closed.DeniedUntil == nil {
				t.Errorf("%+v", closed)
			}
			allowed := entries(t, host, func(r *audit.Record) bool {
				return r.Login != nil && r.Login.Outcome == callout.Allowed && r.Login.Name == bob.Profile.Settings.Account
			})
			if len(allowed) == 0 || allowed[0].Login.Backend != "members" || allowed[0].Login.Rights == nil || allowed[0].Login.CID == 0 {
				t.Errorf("%+v", allowed)
			}
			// A connection that ends is forgotten at once.
			his.Close()
			hubtest.Eventually(t, "his session is gone", func() bool { return sessionsOf(t, host, "bob") == nil })
			_ = hers
		})
	}
}

// says has somebody say something, and a session hear it.
func says(t *testing.T, m *hubtest.Member, text string, heard *client.Session) {
	t.Helper()
	if _, err := m.Say(hubtest.Context(t), "general", text); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case got := <-heard.Messages():
			if got.Text == text {
				return
			}
		case <-time.After(hubtest.Patience):
			t.Fatalf("%q is never heard", text)
		}
	}
}

func TestARightThatEndsIsInTheAudit(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	host := onMachine(t, hall)
	enter(t, bob)
	if err := alice.RevokeRoom(hubtest.Context(t), "general", "bob"); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, "it is written down", func() bool {
		return len(entries(t, host, func(r *audit.Record) bool {
			return r.Closed != nil && r.Closed.By == audit.ByRights && r.Closed.Name == bob.Profile.Settings.Account
		})) > 0
	})
}

func TestAHubServesMetricsWhereItIsToldTo(t *testing.T) {
	ctx := hubtest.Context(t)
	h, err := hub.Start(ctx, hub.Options{
		DataDir: t.TempDir(), HTTP: "127.0.0.1:0", NATS: "127.0.0.1:-1", Audit: hub.Audit{Metrics: ":0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Metrics(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(text), "keyhall_callout_audit_lost_total 0") || !strings.Contains(string(text), "keyhall_callout_in_flight 0") {
		t.Errorf("%s, %v", text, err)
	}
}

// A member is an attacker here: neither in rooms nor in their own account do they reach the
// audit, the sessions, the host's commands or the signer's.
func TestMembersReachNeitherTheAuditNorTheHostsCommands(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	host := onMachine(t, hall)
	session := enter(t, bob)
	hubtest.Eventually(t, "his session is known", func() bool { return len(sessionsOf(t, host, "bob")) == 1 })
	id := sessionsOf(t, host, "bob")[0]
	server, _, _ := strings.Cut(id, "/")
	token, key, err := alice.AddDevice(hubtest.Context(t), "probe") // a device may do all that a member may
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(hall.NATS(), nats.UserJWTAndSeed(token.Text, string(key.Seed())),
		nats.CustomInboxPrefix(trust.InboxPrefix(key.Public())), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	command, err := json.Marshal(api.CloseRequest{Session: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"services.revoke", "services.sessions", "signer.kick", "signer.connections", "connections.gone", "audit.login", "audit.closed",
		"hub.services.revoke", "keyhall.callout.revoke", "$JS.API.STREAM.INFO.AUDIT", "$JS.API.STREAM.MSG.GET.AUDIT",
		"$KV.SESSIONS.x", "$SYS.REQ.SERVER." + server + ".KICK",
	} {
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if answer, err := nc.RequestWithContext(short, subject, command); err == nil && answer.Header.Get("Nats-Service-Error") == "" &&
			!strings.Contains(string(answer.Data), "error") {
			t.Errorf("%s answers a member: %s", subject, answer.Data)
		}
		cancel()
	}
	if now := sessionsOf(t, host, "bob"); !slices.Equal(now, []string{id}) {
		t.Errorf("his session became %v", now)
	}
	says(t, bob, "still here", session)
	for _, record := range entries(t, host, func(*audit.Record) bool { return true }) {
		if record.Closed != nil {
			t.Errorf("closed: %+v", record.Closed)
		}
	}
	// The control: the host's own commands do what they say.
	if answer, err := host.CloseSessions(hubtest.Context(t), api.CloseRequest{Session: id}); err != nil || !slices.Equal(answer.Closed, []string{id}) {
		t.Errorf("%+v, %v", answer, err)
	}
	if _, err := host.CloseSessions(hubtest.Context(t), api.CloseRequest{Who: "nobody"}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// On servers outside, members stay connected while the hub is away: it knows them when it is
// back, and can still close exactly theirs.
func TestAHubThatCameBackKnowsWhoIsConnected(t *testing.T) {
	hall := hubtest.StartOutside(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	hers := enter(t, alice)
	enter(t, bob)
	host := onMachine(t, hall)
	var before []string
	hubtest.Eventually(t, "both are known", func() bool {
		before = sessionsOf(t, host, "")
		return len(before) == 2
	})
	his := sessionsOf(t, host, "bob")
	hall.Stop()
	hall.Restart()
	host = onMachine(t, hall)
	if now := sessionsOf(t, host, ""); !slices.Equal(now, before) {
		t.Errorf("after the restart %v, before %v", now, before)
	}
	answer, err := host.CloseSessions(hubtest.Context(t), api.CloseRequest{Who: "bob", Seconds: 600})
	if err != nil || !slices.Equal(answer.Closed, his) {
		t.Errorf("%+v, %v, want %v", answer, err, his)
	}
	hubtest.Eventually(t, "his is gone", func() bool { return sessionsOf(t, host, "bob") == nil })
	if now := sessionsOf(t, host, "alice"); len(now) != 1 || now[0] == his[0] {
		t.Errorf("hers: %v", now)
	}
	says(t, alice, "still here", hers)
}
