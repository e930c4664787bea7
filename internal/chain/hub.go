package chain

import (
	"fmt"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// Hub is the fold of the hub's own chain: the invites of its host.
type Hub struct {
	Seq     uint64                 `json:"seq"`
	Head    event.Hash             `json:"head"`
	Invites map[string]*InviteBody `json:"invites,omitempty"` // by invite key
}

// Apply verifies the next event of the chain as the hub's own and folds it in. A failed
// Apply changes nothing.
func (h *Hub) Apply(hub *trust.Hub, ev *event.Event) error {
	if err := place(ev, HubSubject, hub.ID, h.Seq, h.Head); err != nil {
		return err
	}
	if err := ev.Check(); err != nil {
		return err
	}
	if ev.Author != hub.Key || !hub.Signs(ev.Device) {
		return fmt.Errorf("%w: not signed by the hub", ErrRefused)
	}
	if ev.Head != h.Head {
		return fmt.Errorf("%w: its head is not its own chain's", ErrPlace)
	}
	if ev.Type != HubInvite {
		return bad(ev.Type, "unknown kind")
	}
	invite, err := Parse[InviteBody](ev)
	if err != nil {
		return err
	}
	if err := checkInvite(ev.Type, invite, ev.Time); err != nil {
		return err
	}
	if h.Invites[invite.Invite] != nil {
		return bad(ev.Type, "the invite key was announced before")
	}
	if h.Invites == nil {
		h.Invites = make(map[string]*InviteBody)
	}
	h.Invites[invite.Invite] = invite
	h.Seq, h.Head = ev.Seq, ev.Hash()
	return nil
}
