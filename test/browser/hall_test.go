package browser_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/sample"
	"keyhall.dev/keyhall/trust"
)

// hall is a hub whose host is the keeper, who serves films and papers from this process.
type hall struct {
	*hub.Hub
	dir     string
	keeper  *member
	life    context.Context // of what runs beside the tests
	serving sync.WaitGroup
}

// member is somebody who has a computer, and a password for browsers.
type member struct {
	*client.Client
	profile *client.Profile
	handle  string
}

// The film of the keeper: long, and larger than what anybody would load whole. Most of it are holes.
const (
	filmSeconds = 120
	filmGap     = 3 << 20
	filmName    = "a long evening.mp4"
	brokenName  = "not a film.mp4"
	oldName     = "an old one.avi"
)

var theHall = sync.OnceValues(func() (*hall, error) {
	dir, err := os.MkdirTemp("", "keyhall-browser-")
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	h := &hall{dir: dir, life: life}
	atTheEnd(func() { _ = os.RemoveAll(dir) })
	h.Hub, err = hub.Start(life, hub.Options{
		DataDir: filepath.Join(dir, "hub"), HTTP: "localhost:0", NATS: "127.0.0.1:-1",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		end()
		return nil, err
	}
	atTheEnd(func() {
		end()
		h.serving.Wait()
		_ = h.Hub.Close()
	})
	h.keeper, err = h.join("keeper", h.Hub.Invite())
	if err != nil {
		return nil, err
	}
	return h, h.furnish()
})

// furnish gives the keeper a catalog, and has it served.
func (h *hall) furnish() error {
	films := filepath.Join(h.dir, "films")
	if err := sample.Write(films, sample.Size{Wide: 320, Seconds: 3}); err != nil {
		return err
	}
	film := sample.Film{Seconds: filmSeconds, Gap: filmGap}
	if err := film.WriteFile(filepath.Join(films, filmName)); err != nil {
		return err
	}
	for name, content := range map[string]string{
		hostileName: "nothing\n",
		brokenName:  "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + strings.Repeat("nothing that moves ", 1000),
		oldName:     "RIFF\x00\x10\x00\x00AVI LIST" + strings.Repeat("\x00", 4096),
	} {
		if err := os.WriteFile(filepath.Join(films, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(h.life, chromiumtest.Patience)
	defer cancel()
	if _, err := h.keeper.profile.AddCatalog(ctx, "films", films, nil); err != nil {
		return err
	}
	if err := h.keeper.setPassword(ctx); err != nil {
		return err
	}
	if err := h.first(ctx); err != nil {
		return err
	}
	ready := make(chan struct{})
	failed := make(chan error, 1)
	h.serving.Go(func() { failed <- h.keeper.ServeReady(h.life, nil, func() { close(ready) }, nil) })
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return errors.Join(errors.New("the keeper does not serve"), err)
	}
}

// first shares the films once: only what was shared from a computer can be shared on in a browser.
func (h *hall) first(ctx context.Context) error {
	invite, err := h.keeper.Invite(ctx, 1, time.Hour)
	if err != nil {
		return err
	}
	if _, err := h.join("neighbour", invite.Code); err != nil {
		return err
	}
	_, err = h.keeper.Share(ctx, "films", "neighbour", 0)
	return err
}

// join makes a member: a program on a computer.
func (h *hall) join(handle, invite string) (*member, error) {
	ctx, cancel := context.WithTimeout(h.life, chromiumtest.Patience)
	defer cancel()
	profile, err := client.Join(ctx, filepath.Join(h.dir, "people", handle), client.JoinRequest{
		URL: h.HTTP(), Invite: invite, Handle: handle, Device: "computer",
	})
	if err != nil {
		return nil, err
	}
	connected, err := client.Connect(ctx, profile)
	if err != nil {
		return nil, err
	}
	atTheEnd(connected.Close)
	return &member{connected, profile, handle}, nil
}

// member makes somebody who has a password already. Handles are of one test alone.
func (h *hall) member(t *testing.T, handle string) *member {
	t.Helper()
	invite, err := h.keeper.Invite(t.Context(), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.join(handle, invite.Code)
	if err != nil {
		t.Fatalf("%s joins: %v", handle, err)
	}
	if err := m.setPassword(t.Context()); err != nil {
		t.Fatalf("%s sets a password: %v", handle, err)
	}
	return m
}

// setPassword takes the least cost there is: what it costs is not tried here.
func (m *member) setPassword(ctx context.Context) error {
	cost := trust.PasswordCost{Memory: 8 << 10, Passes: 1}
	_, _ = rand.Read(cost.Salt[:])
	_, err := m.SetPasswordAt(ctx, password(m.handle), cost)
	return err
}

// room is a sealed room with these others in it.
func (m *member) room(t *testing.T, name string, others ...*member) {
	t.Helper()
	m.makeRoom(t, name, client.RoomOptions{}, others...)
}

// listed is a sealed room whose name everybody sees.
func (m *member) listed(t *testing.T, name string, others ...*member) {
	t.Helper()
	m.makeRoom(t, name, client.RoomOptions{Listed: true}, others...)
}

func (m *member) makeRoom(t *testing.T, name string, options client.RoomOptions, others ...*member) {
	t.Helper()
	if _, err := m.CreateRoom(t.Context(), name, options); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	for _, other := range others {
		if _, err := m.GrantRoom(t.Context(), name, other.handle, chain.Writer, 0); err != nil {
			t.Fatalf("let %s into %s: %v", other.handle, name, err)
		}
	}
}

func (m *member) say(t *testing.T, room, text string) {
	t.Helper()
	if _, err := m.Say(t.Context(), room, text); err != nil {
		t.Fatalf("%s says: %v", m.handle, err)
	}
}

// lend has the keeper share the films with a member, who accepts.
func (h *hall) lend(t *testing.T, to *member) {
	t.Helper()
	if _, err := h.keeper.Share(t.Context(), "films", to.handle, 0); err != nil {
		t.Fatalf("share films: %v", err)
	}
	if err := to.Accept(t.Context(), "keeper/films"); err != nil {
		t.Fatalf("accept films: %v", err)
	}
}
