// Package hubtest starts a whole hub for a test: a real embedded server on free ports,
// real services, real people with profiles of their own. Nothing in it is a stand-in.
//
//	hall := hubtest.Start(t)
//	alice := hall.Join("alice")
//	bob := hall.Join("bob")
package hubtest

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/hub"
)

// Patience bounds everything that a test waits for; it is no measure of anything.
const Patience = 60 * time.Second

// Hall is a running hub and the people on it.
type Hall struct {
	*hub.Hub
	t      *testing.T
	Dir    string
	invite string
	host   *Member
	attach *hub.Attach   // nil with an embedded server
	life   time.Duration // of a session; 0: as usual
	http   string        // where it listened, for Restart
	nats   string
	change func(*hub.Options) // nil for nothing
}

// Member is somebody with a profile and a connection.
type Member struct {
	*client.Client
	Profile *client.Profile
	hall    *Hall
}

// Start starts a hub that ends with the test.
func Start(t *testing.T) *Hall {
	t.Helper()
	h := &Hall{t: t, Dir: filepath.Join(t.TempDir(), "hub")}
	h.start("127.0.0.1:0", "127.0.0.1:-1")
	h.invite = h.Hub.Invite()
	t.Cleanup(h.Stop)
	return h
}

// StartBriefly is Start for a hub whose connections to ROOMS live for so long.
func StartBriefly(t *testing.T, life time.Duration) *Hall {
	t.Helper()
	h := &Hall{t: t, Dir: filepath.Join(t.TempDir(), "hub"), life: life}
	h.start("127.0.0.1:0", "127.0.0.1:-1")
	h.invite = h.Hub.Invite()
	t.Cleanup(h.Stop)
	return h
}

// StartBehind is Start for a hub that believes a proxy of this network.
func StartBehind(t *testing.T, network string) *Hall {
	t.Helper()
	proxies, err := httpd.ParseProxies([]string{network})
	if err != nil {
		t.Fatal(err)
	}
	return StartWith(t, func(o *hub.Options) { o.TrustProxy = proxies })
}

// StartWith is Start for a hub with options of its own.
func StartWith(t *testing.T, change func(*hub.Options)) *Hall {
	t.Helper()
	h := &Hall{t: t, Dir: filepath.Join(t.TempDir(), "hub"), change: change}
	h.start("127.0.0.1:0", "127.0.0.1:-1")
	h.invite = h.Hub.Invite()
	t.Cleanup(h.Stop)
	return h
}

func (h *Hall) start(http, nats string) {
	h.t.Helper()
	options := hub.Options{
		DataDir: h.Dir, HTTP: http, NATS: nats, Attach: h.attach, SessionLife: h.life,
		Logger: slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if h.change != nil {
		h.change(&options)
	}
	running, err := hub.Start(Context(h.t), options)
	if err != nil {
		h.t.Fatalf("start hub: %v", err)
	}
	h.Hub = running
	h.http = strings.TrimPrefix(running.HTTP(), "http://")
	h.nats = strings.TrimPrefix(running.NATS(), "nats://")
}

// Stop stops the hub. A server outside goes on.
func (h *Hall) Stop() {
	h.t.Helper()
	if err := h.Hub.Close(); err != nil {
		h.t.Errorf("stop hub: %v", err)
	}
}

// Restart starts the hub again where it was.
func (h *Hall) Restart() {
	h.t.Helper()
	h.start(h.http, h.nats)
}

// Context ends with the test, or when its patience does.
func Context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Join makes somebody a member: the first by the host's invite, others by the first's.
func (h *Hall) Join(handle string) *Member {
	h.t.Helper()
	code := h.invite
	if h.host != nil {
		code = h.host.MustInvite(1)
	}
	m := h.JoinWith(handle, code)
	if h.host == nil {
		h.host = m
	}
	return m
}

// JoinWith makes somebody a member by an invite.
func (h *Hall) JoinWith(handle, code string) *Member {
	h.t.Helper()
	profile, err := client.Join(Context(h.t), filepath.Join(h.t.TempDir(), handle), client.JoinRequest{
		URL: h.HTTP(), Invite: code, Handle: handle, Device: "laptop",
	})
	if err != nil {
		h.t.Fatalf("%s joins: %v", handle, err)
	}
	return h.Connect(profile)
}

// Connect connects a member once more, as another program of theirs would.
func (h *Hall) Connect(profile *client.Profile) *Member {
	h.t.Helper()
	c, err := client.Connect(Context(h.t), profile)
	if err != nil {
		h.t.Fatalf("%s connects: %v", profile.Settings.Handle, err)
	}
	h.t.Cleanup(c.Close)
	return &Member{Client: c, Profile: profile, hall: h}
}

// Hall is the hub that the member is on.
func (m *Member) Hall() *Hall { return m.hall }

// MustInvite makes an invite for uses newcomers.
func (m *Member) MustInvite(uses int) string {
	m.hall.t.Helper()
	invite, err := m.Invite(Context(m.hall.t), uses, time.Hour)
	if err != nil {
		m.hall.t.Fatalf("invite: %v", err)
	}
	return invite.Code
}

// Eventually polls until cond holds.
func Eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// MustAdd makes a catalog of a folder.
func (m *Member) MustAdd(name, dir string) {
	m.hall.t.Helper()
	if _, err := m.Profile.AddCatalog(Context(m.hall.t), name, dir, nil); err != nil {
		m.hall.t.Fatalf("add catalog %s: %v", name, err)
	}
}

// Serving serves the member's catalogs until the returned function is called, or the test
// ends. It returns when they can be reached.
func (m *Member) Serving(names ...string) (stop func()) {
	m.hall.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- m.Client.ServeReady(ctx, names, func() { close(ready) }, nil) }()
	select {
	case <-ready:
	case err := <-ended:
		m.hall.t.Fatalf("serve: %v", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				m.hall.t.Errorf("serve: %v", err)
			}
		})
	}
	m.hall.t.Cleanup(stop)
	return stop
}

// MustShare shares a catalog and has the other accept it.
func (m *Member) MustShare(name string, with *Member) {
	m.hall.t.Helper()
	ctx := Context(m.hall.t)
	if _, err := m.Share(ctx, name, with.Profile.Settings.Handle, 0); err != nil {
		m.hall.t.Fatalf("share %s: %v", name, err)
	}
	if err := with.Accept(ctx, m.Profile.Settings.Handle+"/"+name); err != nil {
		m.hall.t.Fatalf("accept %s: %v", name, err)
	}
}

// Move starts the hub, which was stopped, on another data folder where it was.
func (h *Hall) Move(dir string) {
	h.t.Helper()
	h.Dir = dir
	h.start(h.http, h.nats)
}
