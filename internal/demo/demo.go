// Package demo is a hub to try: on this machine only, in a folder that goes away with it, with two people whose
// passwords are their names, rooms with something in them, and catalogs of samples. Everything in it is real (the
// hub, the people's own programs, what is sealed for whom) but the secrecy of its passwords.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/sample"
)

// Options say where the hub listens. Nothing is needed.
type Options struct {
	HTTP string // a free port of this machine if empty
	NATS string // likewise
	// Samples is how large what is shared is; sample.Usual if it is zero.
	Samples sample.Size
	Logger  *slog.Logger
	// Progress is told what is being done, if not nil.
	Progress func(what string)
}

// Demo is a running one.
type Demo struct {
	*hub.Hub
	dir        string
	alice, bob *client.Client
	profiles   map[string]*client.Profile
	stop       context.CancelFunc
	serving    sync.WaitGroup
	failed     chan error
}

// Start starts a demonstration. It returns when everything is there; nothing is left of one that fails.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.HTTP == "" {
		o.HTTP = "localhost:0"
	}
	if o.NATS == "" {
		o.NATS = "127.0.0.1:-1"
	}
	host, _, err := net.SplitHostPort(o.HTTP)
	if ip := net.ParseIP(host); err != nil || (host != "localhost" && !ip.IsLoopback()) {
		return nil, fault.New(fault.Malformed, "everybody knows the passwords of a demo, so it is for this machine alone: %q is not its address; write localhost:8420", o.HTTP)
	}
	if o.Samples == (sample.Size{}) {
		o.Samples = sample.Usual
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	dir, err := os.MkdirTemp("", "keyhall-demo-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &Demo{dir: dir, profiles: make(map[string]*client.Profile), stop: stop, failed: make(chan error, 2)}
	if err := d.open(ctx, running, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) open(ctx, running context.Context, o Options) (err error) {
	o.Progress("starting a hub")
	d.Hub, err = hub.Start(ctx, hub.Options{
		DataDir: filepath.Join(d.dir, "hub"), HTTP: o.HTTP, NATS: o.NATS, Demo: true, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	if d.alice, err = d.join(ctx, "alice", d.Invite()); err != nil {
		return err
	}
	invite, err := d.alice.Invite(ctx, 1, time.Hour)
	if err != nil {
		return err
	}
	if d.bob, err = d.join(ctx, "bob", invite.Code); err != nil {
		return err
	}
	o.Progress("making rooms")
	if err := d.rooms(ctx); err != nil {
		return err
	}
	o.Progress("drawing pictures and a film")
	if err := d.catalogs(ctx, running, o.Samples); err != nil {
		return err
	}
	o.Progress("setting passwords")
	return d.passwords(ctx)
}

// join makes somebody a member, with a program on this machine.
func (d *Demo) join(ctx context.Context, name, invite string) (*client.Client, error) {
	profile, err := client.Join(ctx, filepath.Join(d.dir, name), client.JoinRequest{
		URL: d.HTTP(), Invite: invite, Handle: name, Device: name + "s-computer",
	})
	if err != nil {
		return nil, err
	}
	d.profiles[name] = profile
	return client.Connect(ctx, profile)
}

// rooms are one for both, and one for each alone. Everybody sees the names of all of them.
func (d *Demo) rooms(ctx context.Context) error {
	for name, who := range map[string]*client.Client{"all1": d.alice, "alice1": d.alice, "bob1": d.bob} {
		if _, err := who.CreateRoom(ctx, name, client.RoomOptions{Listed: true}); err != nil {
			return err
		}
	}
	if _, err := d.alice.GrantRoom(ctx, "all1", "bob", chain.Writer, 0); err != nil {
		return err
	}
	for _, said := range []struct {
		who        *client.Client
		room, text string
	}{
		{d.alice, "all1", "Hello bob! This is all1, a room for the two of us."},
		{d.bob, "all1", "Hello alice. Nice and quiet here."},
		{d.alice, "all1", "I share some pictures and a film with you: have a look under Catalogs."},
		{d.bob, "all1", "I will. You have some of mine, too."},
		{d.alice, "alice1", "A room of my own. Bob sees that it is there, and cannot come in."},
		{d.bob, "bob1", "Nobody but me reads this."},
	} {
		if _, err := said.who.Say(ctx, said.room, said.text); err != nil {
			return err
		}
	}
	return nil
}

// catalogs makes samples, and what of them is shared: accepted both ways, and one that bob has only been offered.
func (d *Demo) catalogs(ctx, running context.Context, size sample.Size) error {
	samples := filepath.Join(d.dir, "samples")
	if err := sample.Write(samples, size); err != nil {
		return err
	}
	for _, c := range []struct{ owner, name, dir string }{
		{"alice", "evenings", samples}, {"alice", "letters", filepath.Join(samples, "words")}, {"bob", "views", filepath.Join(samples, "pictures")},
	} {
		if _, err := d.profiles[c.owner].AddCatalog(ctx, c.name, c.dir, nil); err != nil {
			return err
		}
	}
	if _, err := d.alice.Share(ctx, "evenings", "bob", 0); err != nil {
		return err
	}
	if _, err := d.alice.Share(ctx, "letters", "bob", 0); err != nil {
		return err
	}
	if _, err := d.bob.Share(ctx, "views", "alice", 0); err != nil {
		return err
	}
	if err := d.bob.Accept(ctx, "alice/evenings"); err != nil {
		return err
	}
	if err := d.alice.Accept(ctx, "bob/views"); err != nil {
		return err
	}
	for _, who := range []*client.Client{d.alice, d.bob} {
		d.serve(running, who)
	}
	return nil
}

// serve serves somebody's catalogs from this process, as a computer of theirs at home would.
func (d *Demo) serve(running context.Context, who *client.Client) {
	d.serving.Go(func() {
		if err := who.Serve(running, nil, nil); err != nil {
			d.failed <- err
		}
	})
}

// passwords sets each one's name as their password, both at once: it is work.
func (d *Demo) passwords(ctx context.Context) error {
	var both sync.WaitGroup
	errs := make([]error, 2)
	both.Go(func() { _, errs[0] = d.alice.SetPassword(ctx, "alice") })
	both.Go(func() { _, errs[1] = d.bob.SetPassword(ctx, "bob") })
	both.Wait()
	return errors.Join(errs...)
}

// Windows are the addresses for two windows of one browser. They are two names of one hub: a browser keeps what
// belongs to them apart, as it would on two machines.
func (d *Demo) Windows() (alice, bob string) {
	at, err := url.Parse(d.HTTP())
	if err != nil {
		return d.HTTP(), d.HTTP()
	}
	other := *at
	other.Host = net.JoinHostPort("127.0.0.1", at.Port())
	return at.String(), other.String()
}

// Wait returns when ctx ends, or with the error of what failed.
func (d *Demo) Wait(ctx context.Context) error {
	until, done := context.WithCancel(ctx)
	defer done()
	ended := make(chan error, 1)
	go func() { ended <- d.Hub.Wait(until) }()
	select {
	case err := <-ended:
		return err
	case err := <-d.failed:
		done()
		return errors.Join(err, <-ended)
	}
}

// Close stops everything and removes it.
func (d *Demo) Close() error {
	d.stop()
	d.serving.Wait()
	for _, who := range []*client.Client{d.alice, d.bob} {
		if who != nil {
			who.Close()
		}
	}
	var err error
	if d.Hub != nil {
		err = d.Hub.Close()
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}
