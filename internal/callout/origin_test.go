package callout_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/natsd"
)

// front is the hub's HTTP origin before a hall's WebSockets.
func (h *hall) front(origin *callout.Origin, trusted ...string) *httpd.Server {
	h.t.Helper()
	proxies, err := httpd.ParseProxies(trusted)
	if err != nil {
		h.t.Fatal(err)
	}
	server, err := httpd.Start(httpd.Options{
		Address: "127.0.0.1:0", WebSocket: h.WebSocketURL(), Proxies: proxies, Logger: h.config(nil).Logger,
		Mark: func(from netip.Addr) *http.Cookie {
			return &http.Cookie{Name: natsd.OriginCookie, Value: origin.Mark(from)}
		},
		Prove: func(context.Context, [32]byte, [32]byte) (api.ProveAnswer, error) {
			return api.ProveAnswer{}, fault.New(fault.Unavailable, "nobody asks")
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			h.t.Error(err)
		}
	})
	return server
}

// TestAWebSocketComesFromWhereTheProxySays: and nobody else's word is taken for it.
func TestAWebSocketComesFromWhereTheProxySays(t *testing.T) {
	h, origin := newHall(t), callout.NewOrigin()
	asked := make(chan *callout.Request, 1)
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		asked <- r
		return h.grant(newDevice(t).public, "kitchen"), nil
	})
	config.Origin = origin
	h.run(config)
	plain, behind := h.front(origin), h.front(origin, "127.0.0.0/8")
	other := callout.NewOrigin().Mark(netip.MustParseAddr("198.51.100.9"))

	for name, row := range map[string]struct {
		url     string
		header  http.Header
		options []nats.Option
		want    string // host; empty is a refusal
	}{
		"a client":                   {plain.URL(), nil, nil, "127.0.0.1"},
		"one that claims an address": {plain.URL(), http.Header{"X-Forwarded-For": {"198.51.100.9"}}, nil, "127.0.0.1"},
		"one with a mark of its own": {plain.URL(), http.Header{"Cookie": {natsd.OriginCookie + "=" + other}}, nil, "127.0.0.1"},
		"behind a trusted proxy":     {behind.URL(), http.Header{"X-Forwarded-For": {"198.51.100.9"}}, nil, "198.51.100.9"},
		"one with a session":         {plain.URL(), http.Header{"Cookie": {natsd.SessionCookie + "=s3ss10n"}}, nil, "127.0.0.1"},
		"one that hides its mark":    {plain.URL(), nil, []nats.Option{nats.UserInfo("x", "y")}, ""},
		"not through the origin":     {"", nil, nil, ""},
		"not through, with a mark":   {"", http.Header{"Cookie": {natsd.OriginCookie + "=" + other}}, nil, ""},
	} {
		address, options := h.WebSocketURL(), append([]nats.Option{}, row.options...)
		if row.url != "" {
			address = "ws" + row.url[len("http"):]
			options = append(options, nats.ProxyPath(httpd.SocketPath))
		}
		if row.header != nil {
			options = append(options, nats.WebSocketConnectionHeaders(row.header))
		}
		nc, err := nats.Connect(address, options...)
		if row.want == "" {
			if err == nil {
				nc.Close()
				t.Errorf("%s: let in", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		nc.Close()
		r := <-asked
		if session := name == "one with a session"; (r.Token.Reveal() == "s3ss10n") != session {
			t.Errorf("%s: token %q", name, r.Token.Reveal())
		}
		if r.Client.Host != row.want || r.Password != "" {
			t.Errorf("%s: from %q with password %q, want %s", name, r.Client.Host, r.Password, row.want)
		}
	}
	if len(asked) > 0 {
		t.Error("a refused WebSocket reached the backend")
	}
}
