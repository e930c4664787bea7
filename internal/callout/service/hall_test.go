package service_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a company whose logins a service decides.
type place struct {
	*natstest.Company
	t    *testing.T
	said service.Config // flags
	env  map[string]string

	mu    sync.Mutex
	lines []string // what its operator was told
}

// newPlace is a company with the flags of a service that would run there.
func newPlace(t *testing.T, options natstest.CompanyOptions) *place {
	t.Helper()
	c := natstest.StartCompany(t, options)
	return &place{Company: c, t: t, env: make(map[string]string), said: service.Config{
		NATS: []string{c.URL()}, Creds: c.Path("auth.creds"), Issuer: c.Path("AUTH.nk"), XKey: c.Path("auth.xk"),
		Sentinel: c.Path("sentinel.creds"), Users: c.Path("users.json"),
		Accounts: []service.AccountKey{
			{Name: "APP1", ID: c.APP1.ID, Key: c.Path("APP1.nk")}, {Name: "APP2", ID: c.APP2.ID, Key: c.Path("APP2.nk")},
		},
	}}
}

func (p *place) options() service.Options {
	return service.Options{
		Source: service.Source{Flags: p.said, Env: func(name string) string { return p.env[name] }},
		Logger: slog.New(slog.DiscardHandler),
		Say: func(sentence string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.lines = append(p.lines, sentence)
		},
	}
}

// start starts a service that runs until the test ends, and reloads when its files change.
func (p *place) start() *service.Service {
	p.t.Helper()
	s, err := service.Start(p.t.Context(), p.options())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx, nil) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			p.t.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		defer cancel()
		if err := s.Close(closing); err != nil {
			p.t.Error(err)
		}
	})
	return s
}

// refused starts a service that must not start, and is the reason.
func (p *place) refused() string {
	p.t.Helper()
	s, err := service.Start(p.t.Context(), p.options())
	if err == nil {
		_ = s.Close(p.t.Context())
		p.t.Fatal("the service started")
	}
	if strings.Contains(err.Error(), "\n") {
		p.t.Errorf("not one line: %q", err)
	}
	return err.Error()
}

// told reports whether the operator was told something with this text.
func (p *place) told(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.lines, func(line string) bool { return strings.Contains(line, text) })
}

func (p *place) mustTell(text string) {
	p.t.Helper()
	if !p.told(text) {
		p.t.Errorf("the operator was not told %q, but %q", text, p.lines)
	}
}

// login logs in with the sentinel and a password.
func (p *place) login(user, password string) (*nats.Conn, error) {
	return p.Connect(p.Path("sentinel.creds"), nats.UserInfo(user, password), nats.CustomInboxPrefix("_INBOX_"+user))
}

func (p *place) mustEnter(user, password string) *nats.Conn {
	p.t.Helper()
	nc, err := p.login(user, password)
	if err != nil {
		p.t.Fatalf("%s: %v", user, err)
	}
	return nc
}

func (p *place) write(name, content string, mode os.FileMode) string {
	p.t.Helper()
	path := p.Path(name)
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(path+".new", mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil { // as editors do
		p.t.Fatal(err)
	}
	return path
}

func mustSay(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("said %q, want %q in it", text, want)
		}
	}
}
