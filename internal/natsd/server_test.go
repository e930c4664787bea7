package natsd_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/natsd"
)

func TestAServiceConnectsOverTheNetworkToo(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	creds, err := s.Keys().HubUser.Creds()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UserCredentialBytes(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got := nc.MaxPayload(); got != natsd.MaxPayload {
		t.Errorf("max payload %d, want %d", got, natsd.MaxPayload)
	}
}

func TestConnectIsInsideTheProcess(t *testing.T) {
	opts := quiet(t.TempDir())
	opts.DeferListen = true
	s := start(t, opts)
	nc, err := s.Connect(s.Keys().CalloutUser)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestADeferredListenerOpensOnListen(t *testing.T) {
	opts := quiet(t.TempDir())
	opts.DeferListen = true
	s := start(t, opts)
	if url := s.ClientURL(); url != "" {
		t.Errorf("before Listen the hub has the address %s", url)
	}
	for range 2 { // a second call does nothing
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := nats.Connect(s.ClientURL(), s.Keys().HubUser.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestAnAddressOfEveryInterfaceIsShownAsLoopback(t *testing.T) {
	opts := quiet(t.TempDir())
	opts.NATS = "0.0.0.0:-1"
	if url := start(t, opts).ClientURL(); !strings.HasPrefix(url, "nats://127.0.0.1:") {
		t.Errorf("client URL %s", url)
	}
}

func TestCloseTwiceIsClose(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	stop(t, s)
	stop(t, s)
}

func TestAWrongLoginIsNoErrorOfTheHub(t *testing.T) {
	log := &lockedLog{}
	opts := quiet(t.TempDir())
	opts.AuthTimeout = 300 * time.Millisecond
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	s := start(t, opts)
	if nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("nobody", "hunter2")); err == nil {
		nc.Close()
		t.Fatal("let in")
	}
	eventually(t, func() error {
		text := log.String()
		if strings.Contains(text, "level=INFO msg=\"nats client error\"") && !strings.Contains(text, "level=ERROR") && !strings.Contains(text, "hunter2") {
			return nil
		}
		return fmt.Errorf("logged %s", text)
	})
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestAnotherSitesPageCannotConnect: the session cookie logs in, so an Origin that is
// not the host's own is refused; programs send none.
func TestAnotherSitesPageCannotConnect(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	url := "http" + strings.TrimPrefix(s.WebSocketURL(), "ws")
	for origin, want := range map[string]int{
		"https://elsewhere.example": http.StatusForbidden,
		"http://hall.example":       http.StatusSwitchingProtocols,
		"":                          http.StatusSwitchingProtocols,
	} {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "hall.example" // as the proxy passes it on
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": origin,
		} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
			t.Errorf("origin %q: status %d %s, want %d", origin, response.StatusCode, text, want)
		}
		response.Body.Close()
	}
}

// TestTheHubAPIKnowsItsCaller: an account that imports the hub API is itself in the
// subject, and an import in another's name is refused.
func TestTheHubAPIKnowsItsCaller(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	hub := login(t, s, s.Keys().HubUser)
	if _, err := hub.Subscribe("hub.*.people.find", func(m *nats.Msg) { m.Respond([]byte(m.Subject)) }); err != nil {
		t.Fatal(err)
	}
	if err := hub.Flush(); err != nil {
		t.Fatal(err)
	}
	ada, ada2 := newPerson(t), newPerson(t)
	pushAccount(t, s, ada.importing(s, ada.public))
	c := connect(t, s, nats.UserJWTAndSeed(ada.device(t)))
	reply, err := c.Request("hub.people.find", nil, 5*time.Second)
	if err != nil || string(reply.Data) != "hub."+ada.public+".people.find" {
		t.Errorf("answer %v, %v", reply, err)
	}

	pushAccount(t, s, ada2.importing(s, ada.public))
	c = connect(t, s, nats.UserJWTAndSeed(ada2.device(t)))
	if _, err := c.Request("hub.people.find", nil, 200*time.Millisecond); !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("asked in another's name: %v", err)
	}
}

type person struct {
	pair   nkeys.KeyPair
	public string
}

func newPerson(t *testing.T) person {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return person{pair, public}
}

func (p person) importing(s *natsd.Server, as string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(p.public)
	claims.Imports.Add(&jwt.Import{
		Account: s.Keys().Hub, Subject: jwt.Subject("hub." + as + ".>"), LocalSubject: "hub.>", Type: jwt.Service,
	})
	return claims
}

func (p person) device(t *testing.T) (token, seed string) {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err = jwt.NewUserClaims(public).Encode(p.pair)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return token, string(raw)
}
