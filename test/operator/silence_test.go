package operator_test

import (
	"context"
	"strings"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/hubtest"
)

func bySilence(t *testing.T, s *stage) {
	t.Helper()
	general := func(ctx context.Context, c *client.Client) error {
		_, _, err := c.History(ctx, "general", 50)
		return err
	}
	for verb, does := range map[string]func(ctx context.Context, c *client.Client) error{
		"people.find":   func(ctx context.Context, c *client.Client) error { _, err := c.Find(ctx, "carol"); return err },
		"people.list":   func(ctx context.Context, c *client.Client) error { _, err := c.People(ctx); return err },
		"people.chain":  func(ctx context.Context, c *client.Client) error { _, err := c.People(ctx); return err },
		"people.append": func(ctx context.Context, c *client.Client) error { _, err := c.Invite(ctx, 1, 3600e9); return err },
		"shares.inbox":  func(ctx context.Context, c *client.Client) error { _, err := c.Inbox(ctx); return err },
		"shares.append": func(ctx context.Context, c *client.Client) error {
			_, err := c.Share(ctx, "films", "carol", 0)
			return err
		},
		"rooms.list":    func(ctx context.Context, c *client.Client) error { _, err := c.Rooms(ctx); return err },
		"rooms.chain":   general,
		"rooms.history": general,
		"rooms.append": func(ctx context.Context, c *client.Client) error {
			_, err := c.GrantRoom(ctx, "lounge", "dave", "reader", 0)
			return err
		},
		"recovery.state": func(ctx context.Context, c *client.Client) error { _, err := c.MakeRecovery(ctx); return err },
		"recovery.put":   func(ctx context.Context, c *client.Client) error { _, err := c.MakeRecovery(ctx); return err },
		"stats.get":      func(ctx context.Context, c *client.Client) error { _, err := c.Stats(ctx); return err },
	} {
		t.Run(verb, func(t *testing.T) {
			liar := newLiar(t, s.Hall)
			profile, err := client.OpenProfile(s.home(t, "alice", liar.Origin))
			must(t, err)
			alice := s.Connect(profile)
			waited := newImpatience(t.Context())
			liar.lies(of(verb, func(*said) []*said { waited.end(); return nil }))
			if err := does(waited, alice.Client); err == nil || !strings.Contains(err.Error(), "the hub did not answer in time; try again") {
				t.Errorf("%v", err)
			}
			liar.lies(nil)
			if err := does(hubtest.Context(t), alice.Client); err != nil {
				t.Errorf("when the hub answers again: %v", err)
			}
		})
	}
}

// impatience is a context whose time is up when the test says so.
type impatience struct {
	context.Context //nolint:containedctx // it is one

	over context.Context
	end  context.CancelFunc
}

func newImpatience(ctx context.Context) *impatience {
	i := &impatience{Context: ctx}
	i.over, i.end = context.WithCancel(ctx)
	return i
}

func (i *impatience) Done() <-chan struct{} { return i.over.Done() }

func (i *impatience) Err() error {
	if i.over.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}
