package chain_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

func inOrder(members []*member) []*member {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b *member) int { return strings.Compare(a.account(), b.account()) })
	return members
}

func TestTheHubAnnouncesInvites(t *testing.T) {
	h := newHall(t)
	second := trust.NewKeyPair(trust.Device)
	ev := h.announces(second, 3)
	h.mustFold(ev)
	if h.own.Seq != 2 || h.own.Head != ev.Hash() {
		t.Errorf("at place %d, head %s", h.own.Seq, h.own.Head)
	}
	if invite := h.own.Invites[second.String()]; invite == nil || invite.Uses != 3 {
		t.Errorf("invites %v", h.own.Invites)
	}
	if len(h.own.Invites) != 2 {
		t.Errorf("%d invites", len(h.own.Invites))
	}
}

// inviteBodies are bodies of invites that nobody may announce.
func inviteBodies(at time.Time) map[string]any {
	key, in := trust.NewKeyPair(trust.Device).String(), at.Add(day)
	return map[string]any{
		"a key of another kind":     chain.InviteBody{Invite: trust.NewKeyPair(trust.Account).String(), Uses: 1, Expires: in},
		"a key's alias":             chain.InviteBody{Invite: key + "\n", Uses: 1, Expires: in},
		"no key":                    chain.InviteBody{Uses: 1, Expires: in},
		"no use":                    chain.InviteBody{Invite: key, Expires: in},
		"less than no use":          chain.InviteBody{Invite: key, Uses: -1, Expires: in},
		"1001 uses":                 chain.InviteBody{Invite: key, Uses: 1001, Expires: in},
		"no end":                    chain.InviteBody{Invite: key, Uses: 1},
		"an end in the past":        chain.InviteBody{Invite: key, Uses: 1, Expires: at.Add(-day)},
		"more than 366 days":        chain.InviteBody{Invite: key, Uses: 1, Expires: at.Add(367 * day)},
		"a fraction of a second":    chain.InviteBody{Invite: key, Uses: 1, Expires: in.Add(time.Millisecond)},
		"a time that is not in UTC": chain.InviteBody{Invite: key, Uses: 1, Expires: in.In(time.FixedZone("", 3600))},
		"an unknown member":         `{"invite":"` + key + `","uses":1,"expires":"2026-06-02T12:00:00Z","more":1}`,
		"white space":               `{"invite": "` + key + `","uses":1,"expires":"2026-06-02T12:00:00Z"}`,
		"no JSON":                   "",
		"null":                      "null",
	}
}

func TestTheHubsChainRefuses(t *testing.T) {
	h := newHall(t)
	mallory := trust.NewKeyPair(trust.Operator)
	good := chain.InviteBody{Invite: trust.NewKeyPair(trust.Device).String(), Uses: 1, Expires: h.now.Add(day)}
	says := func(c change) *event.Event { return h.says(chain.HubInvite, good, c) }
	byAnother := func(author trust.PublicKey) *event.Event {
		return h.sign(&event.Event{
			Author: author, Type: chain.HubInvite, Subject: chain.HubSubject,
			Seq: h.own.Seq + 1, Prev: h.own.Head, Head: h.own.Head, Body: h.body(good),
		}, mallory, nil)
	}
	changed := says(func(*event.Event) {})
	changed.Body = []byte("changed")
	type row struct {
		ev   *event.Event
		want error
	}
	rows := map[string]row{
		"an unknown kind":         {h.says("hub.close", "{}"), chain.ErrContent},
		"another chain's kind":    {h.says(chain.Invite, good), chain.ErrContent},
		"another hub's":           {says(func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
		"another chain's":         {says(func(ev *event.Event) { ev.Subject = "ledger.hubs" }), event.ErrNotMeant},
		"a place too far":         {says(func(ev *event.Event) { ev.Seq++ }), chain.ErrPlace},
		"the first place again":   {says(func(ev *event.Event) { ev.Seq, ev.Prev = 1, event.Hash{} }), chain.ErrPlace},
		"after another":           {says(func(ev *event.Event) { ev.Prev = event.Hash{1} }), chain.ErrPlace},
		"signed by somebody":      {byAnother(h.hub.Key), chain.ErrRefused},
		"somebody's own":          {byAnother(mallory.Public()), chain.ErrRefused},
		"another author":          {says(func(ev *event.Event) { ev.Author = mallory.Public() }), chain.ErrRefused},
		"changed after signing":   {changed, event.ErrBody},
		"an invite of its second": {h.says(chain.HubInvite, chain.InviteBody{Invite: good.Invite, Uses: 1, Expires: h.now.Add(time.Second)}), chain.ErrContent},
	}
	for what, body := range inviteBodies(h.now) {
		rows[what] = row{h.says(chain.HubInvite, body), chain.ErrContent}
	}
	for what, row := range rows {
		before := copied(t, &h.own)
		err := h.own.Apply(h.hub, row.ev)
		wantRefusal(t, what, err, row.want)
		if diff := cmp.Diff(before, &h.own, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
	if err := h.own.Apply(h.hub, h.says(chain.HubInvite, good)); err != nil {
		t.Errorf("what is good is refused too: %v", err)
	}
}

func TestAnInviteLastsUpTo366Days(t *testing.T) {
	h := newHall(t)
	for life, good := range map[time.Duration]bool{time.Second: true, 366 * day: true, 366*day + time.Second: false, 0: false} {
		key := trust.NewKeyPair(trust.Device).String()
		at := h.now.Add(time.Second)
		ev := h.says(chain.HubInvite, chain.InviteBody{Invite: key, Uses: 1000, Expires: at.Add(life)})
		if err := h.own.Apply(h.hub, ev); good != (err == nil) || (err != nil && !errors.Is(err, chain.ErrContent)) {
			t.Errorf("%s: %v", life, err)
		}
	}
}
