package client

import (
	"context"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// visibleRooms are all rooms that the hub shows the member, page by page.
func (c *Client) visibleRooms(ctx context.Context) ([]api.Room, error) {
	var rooms []api.Room
	for after, more := "", true; more; {
		var page api.Rooms
		if err := c.call(ctx, "rooms.list", api.RoomsRequest{After: after}, &page); err != nil {
			return nil, err
		}
		rooms = append(rooms, page.Rooms...)
		if more = page.More; !more {
			break
		}
		if len(page.Rooms) == 0 || page.Rooms[len(page.Rooms)-1].Room <= after {
			return nil, fault.New(fault.Refused, "the hub lists rooms without end; do not trust it")
		}
		after = page.Rooms[len(page.Rooms)-1].Room
	}
	return rooms, nil
}

// knownRoom finds a room by its id, or by the name that means it to the member. It asks for
// that room alone, however many others there are. It is nil for a room that the member is
// not in, and for a name that means none yet.
func (c *Client) knownRoom(ctx context.Context, text string) (*Room, error) {
	id := text
	if _, err := trust.ParseID(text); err != nil {
		name, err := trust.Name(text)
		if err != nil {
			return nil, nil //nolint:nilerr // it is no name of any room
		}
		if id, err = c.rooms.meant(name); err != nil || id == "" {
			return nil, err
		}
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	known, err := c.rooms.sync(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	room, err := c.asMember(known)
	if err != nil || room.Role == "" {
		return nil, err
	}
	return room, nil
}

// asMember is a room as its chain has it. c.rooms.mu is held.
func (c *Client) asMember(known *roomPage) (*Room, error) {
	now := time.Now()
	room := &Room{
		ID: known.Room.ID, Kind: known.Room.Kind, Listed: known.Room.Listed, Members: len(known.Room.Entitled(now)),
	}
	room.Role, _ = known.Room.RoleOf(c.account(), now)
	var err error
	room.Room, err = c.rooms.nameToMember(known)
	return room, err
}

// unentered reports whether a room is open and the member was never in it: then the hub's
// list says all that is shown of it, and its chain is not read. c.rooms.mu is held.
func (b *roomBook) unentered(one api.Room) (bool, error) {
	if _, err := trust.ParseID(one.Room); err != nil || one.Kind != chain.Open {
		return false, nil //nolint:nilerr // said where it is entered
	}
	known, err := b.load(one.Room)
	return err == nil && known.Room.Seq == 0, err
}
