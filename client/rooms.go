package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Role is what a member may do in a room.
type Role = chain.Role

// Room is a room as its member sees it.
type Room struct {
	ID      string `json:"id"`
	Room    string `json:"room"` // its name
	Kind    string `json:"kind"` // sealed or open
	Listed  bool   `json:"listed"`
	Role    Role   `json:"role"` // "" in a room that is only listed
	Members int    `json:"members"`
	Unread  int    `json:"unread"` // at most 500 are counted
}

// RoomOptions say what kind of room to create.
type RoomOptions struct {
	Listed bool // everyone on the hub sees its name
	Open   bool // everyone on the hub may enter; messages are signed, not sealed
}

// CreateRoom creates a room whose only member and moderator is the caller.
func (c *Client) CreateRoom(ctx context.Context, text string, options RoomOptions) (*Room, error) {
	name, err := trust.Name(text)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the room name %q is %w", text, err)
	}
	if _, err := c.roomCalled(ctx, name); err == nil {
		return nil, fault.New(fault.Taken, "you know a room called %s already", name)
	} else if !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	body := chain.CreateRoomBody{Room: trust.NewID(), Kind: chain.Sealed, Listed: options.Listed || options.Open}
	if options.Open {
		body.Kind = chain.Open
	}
	if body.Listed {
		body.Name = name
	}
	own, err := c.me(ctx)
	if err != nil {
		return nil, err
	}
	ev, err := c.sign(chain.CreateRoom, chain.RoomSubject(body.Room), 0, event.Hash{}, own.Person.Head, body)
	if err != nil {
		return nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	var done api.Appended
	if err := c.call(ctx, "rooms.append", ev.Encode(), &done); err != nil && !c.rooms.wasAppended(ctx, body.Room, ev) {
		return nil, err
	}
	known, err := c.rooms.sync(ctx, body.Room)
	switch {
	case fault.Is(err, fault.NotFound) || (err == nil && known.Room.Places[ev.Hash()] != ev.Seq):
		return nil, notThere("the room")
	case err != nil:
		return nil, err
	}
	if err := c.rooms.pin(name, body.Room); err != nil {
		return nil, err
	}
	if body.Kind == chain.Sealed {
		_, err = c.rooms.append(ctx, body.Room, chain.Epoch, func(ctx context.Context, known *roomPage) (any, error) {
			return c.rooms.newEpoch(ctx, known, name)
		})
	}
	return &Room{ID: body.Room, Room: name, Kind: body.Kind, Listed: body.Listed, Role: chain.Moderator, Members: 1}, err
}

// Rooms lists the rooms the member is in, and those that everyone may see, by name.
func (c *Client) Rooms(ctx context.Context) ([]Room, error) {
	rooms, err := c.listRooms(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rooms {
		if rooms[i].Role == "" {
			continue
		}
		c.rooms.mu.Lock()
		known, err := c.rooms.load(rooms[i].ID)
		c.rooms.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if known.Room.Seq == 0 {
			continue // an open room that was never entered
		}
		var unread api.History
		request := api.HistoryRequest{Room: rooms[i].ID, After: known.Read}
		if err := c.call(ctx, "rooms.history", request, &unread); err != nil {
			return nil, err
		}
		if unread.Last < known.Read {
			c.rooms.mu.Lock()
			err = c.rooms.rewind(rooms[i].ID, unread.Last)
			c.rooms.mu.Unlock()
			if err != nil {
				return nil, err
			}
		}
		rooms[i].Unread = len(unread.Messages)
	}
	return rooms, nil
}

func (c *Client) listRooms(ctx context.Context) ([]Room, error) {
	visible, err := c.visibleRooms(ctx)
	if err != nil {
		return nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	rooms := make([]Room, 0, len(visible))
	listed := make(map[string]bool)
	for _, one := range visible {
		if listed[one.Room] {
			continue
		}
		listed[one.Room] = true
		room, err := c.listedRoom(ctx, one)
		if err != nil {
			return nil, err
		}
		if trust.IsName(room.Room) {
			rooms = append(rooms, *room)
		}
	}
	slices.SortFunc(rooms, func(a, b Room) int { return strings.Compare(a.Room+" "+a.ID, b.Room+" "+b.ID) })
	return rooms, nil
}

// listedRoom is a room that the hub lists. Of one that the member is in, or knows from the
// inside, its chain says what it is; of another the hub alone does, and nothing is said or
// read there. c.rooms.mu is held.
func (c *Client) listedRoom(ctx context.Context, one api.Room) (*Room, error) {
	if _, err := trust.ParseID(one.Room); err != nil || (one.Role == "" && !one.Listed) || one.Members < 0 ||
		(one.Kind != chain.Sealed && one.Kind != chain.Open) {
		return nil, fault.New(fault.Refused, "the hub lists a room that cannot be; do not trust it")
	}
	room := &Room{ID: one.Room, Room: one.Name, Kind: one.Kind, Listed: one.Listed, Members: one.Members}
	unentered, err := c.rooms.unentered(one)
	if err != nil {
		return nil, err
	}
	if unentered {
		room.Listed, room.Role = true, chain.Writer // of every open room, for everybody
		return room, nil
	}
	known, err := c.rooms.load(one.Room)
	if err != nil || (one.Role == "" && known.Room.Seq == 0) {
		return room, err
	}
	known, err = c.rooms.sync(ctx, one.Room)
	if one.Role == "" && fault.Is(err, fault.NotFound) {
		return room, nil // no longer in it
	}
	if err != nil {
		return nil, err
	}
	return c.asMember(known)
}

// FindRoom finds a room by name or id.
func (c *Client) FindRoom(ctx context.Context, text string) (*Room, error) {
	return c.findRoom(ctx, text)
}

// findRoom finds a room that the member is in by name or id: what another is called, the
// hub alone says.
func (c *Client) findRoom(ctx context.Context, text string) (*Room, error) {
	room, err := c.roomCalled(ctx, text)
	if err == nil && room.Role == "" {
		return nil, fault.New(fault.NotFound, "you are not in %s; its moderators can let you in", room.Room)
	}
	return room, err
}

// roomCalled finds a room by name or id among those the hub lists. A name goes on meaning
// the room it meant first: anybody can open another one under it.
func (c *Client) roomCalled(ctx context.Context, text string) (*Room, error) {
	if known, err := c.knownRoom(ctx, text); known != nil || err != nil {
		return known, err
	}
	rooms, err := c.listRooms(ctx)
	if err != nil {
		return nil, err
	}
	name, nameErr := trust.Name(text)
	var found []Room
	for _, room := range rooms {
		if room.ID == text {
			return &room, nil
		}
		if nameErr == nil && room.Room == name {
			found = append(found, room)
		}
	}
	meant, err := c.rooms.meant(name)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(found, func(r Room) bool { return r.ID == meant }); at >= 0 {
		return &found[at], nil
	}
	switch {
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "you are in no room called %q; keyhall room list shows yours", text)
	case meant != "":
		return nil, fault.New(fault.NotFound, "you are not in %s any more; what is called so now is another room, %s: "+
			"name it by that id", name, found[0].ID)
	case len(found) == 1 && found[0].Role == "":
		return &found[0], nil
	case len(found) == 1: // an open room's name was the hub's word so far
		room, err := c.knownRoom(ctx, found[0].ID)
		if err == nil && (room == nil || room.Room != name) {
			err = fault.New(fault.Refused, "the hub says that a room is called %s, and it is not; do not trust it", name)
		}
		return room, err
	}
	ids := make([]string, len(found))
	for i, room := range found {
		ids[i] = room.ID
	}
	return nil, fault.New(fault.Malformed, "there are several rooms called %q; name one by its id: %s", text, strings.Join(ids, ", "))
}

// GrantRoom lets somebody into a room. In a sealed room they get the key of the current
// epoch with the grant.
func (c *Client) GrantRoom(ctx context.Context, room, who string, role Role, life time.Duration) (*Person, error) {
	found, err := c.findRoom(ctx, room)
	if err != nil {
		return nil, err
	}
	person, err := c.Find(ctx, who)
	if err != nil {
		return nil, err
	}
	expires, err := expiry(life)
	if err != nil {
		return nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	_, err = c.rooms.append(ctx, found.ID, chain.GrantRoom, func(_ context.Context, known *roomPage) (any, error) {
		body := chain.GrantRoomBody{Grant: trust.NewID(), Account: person.Account, Role: role, Expires: expires}
		if err := mayModerate(known, c.account()); err != nil {
			return nil, err
		}
		return body, c.handOver(known, person, &body)
	})
	return person, err
}

// handOver puts the current epoch's key into a grant, where there is one to hand over.
func (c *Client) handOver(known *roomPage, person *Person, body *chain.GrantRoomBody) error {
	room := &known.Room
	current := room.Epochs[room.Current.String()]
	if room.Kind != chain.Sealed || current == nil || current.Boxes[person.Account] != nil {
		return nil
	}
	if len(room.Members[person.Account]) > 0 {
		return nil // who was away does not read what was said meanwhile: the next sender begins an epoch
	}
	key, err := c.rooms.epochKey(known, room.Current)
	if err != nil {
		return nil //nolint:nilerr // without the key, whoever sends next begins an epoch for both
	}
	body.Epoch = room.Current
	body.Key, err = key.BoxFor(person.xkey, room.ID)
	return err
}

func mayModerate(known *roomPage, account string) error {
	if role, _ := known.Room.RoleOf(account, time.Now()); role != chain.Moderator {
		return fault.New(fault.Refused, "only moderators let people in and out of this room")
	}
	return nil
}

// RevokeRoom puts somebody out of a room: at once, and without the key of the next epoch.
func (c *Client) RevokeRoom(ctx context.Context, room, who string) error {
	found, err := c.findRoom(ctx, room)
	if err != nil {
		return err
	}
	person, err := c.Find(ctx, who)
	if err != nil {
		return err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	_, err = c.rooms.append(ctx, found.ID, chain.RevokeRoom, func(_ context.Context, known *roomPage) (any, error) {
		if err := mayModerate(known, c.account()); err != nil {
			return nil, err
		}
		if _, member := known.Room.RoleOf(person.Account, time.Now()); !member {
			return nil, fault.New(fault.NotFound, "%s is not in %s", person.Handle, found.Room)
		}
		return chain.RevokeRoomBody{Account: person.Account}, nil
	})
	return err
}

// LeaveRoom ends the member's own membership.
func (c *Client) LeaveRoom(ctx context.Context, room string) error {
	found, err := c.findRoom(ctx, room)
	if err != nil {
		return err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	_, err = c.rooms.append(ctx, found.ID, chain.LeaveRoom, func(_ context.Context, known *roomPage) (any, error) {
		if known.Room.Creator == c.account() {
			return nil, fault.New(fault.Refused, "you created %s; its creator cannot leave it", found.Room)
		}
		if _, member := known.Room.RoleOf(c.account(), time.Now()); !member {
			return nil, fault.New(fault.NotFound, "you are not in %s", found.Room)
		}
		return chain.LeaveRoomBody{}, nil
	})
	return err
}

// RoomMember is somebody in a room.
type RoomMember struct {
	Handle  string    `json:"handle"`
	Account string    `json:"account"`
	Role    Role      `json:"role"`
	Expires time.Time `json:"expires,omitzero"`
}

// RoomMembers lists who is in a room, by handle.
func (c *Client) RoomMembers(ctx context.Context, room string) ([]RoomMember, error) {
	found, err := c.findRoom(ctx, room)
	if err != nil {
		return nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	known, err := c.rooms.sync(ctx, found.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var members []RoomMember
	for _, account := range known.Room.Entitled(now) {
		person, err := c.book.person(ctx, account)
		if err != nil {
			return nil, err
		}
		role, _ := known.Room.RoleOf(account, now)
		spans := known.Room.Members[account]
		members = append(members, RoomMember{
			Handle: person.Handle, Account: account, Role: role, Expires: spans[len(spans)-1].Expires,
		})
	}
	slices.SortFunc(members, func(a, b RoomMember) int { return strings.Compare(a.Handle, b.Handle) })
	return members, nil
}

// expiry is the moment after life from now, the zero time for no life.
func expiry(life time.Duration) (time.Time, error) {
	if life == 0 {
		return time.Time{}, nil
	}
	if life < time.Second {
		return time.Time{}, fault.New(fault.Malformed, "%s is no time to last", life)
	}
	return time.Now().Add(life).UTC().Truncate(time.Second).Add(time.Second), nil
}

// ParseRole reads a role.
func ParseRole(text string) (Role, error) {
	switch role := Role(text); role {
	case chain.Reader, chain.Writer, chain.Moderator:
		return role, nil
	}
	return "", fmt.Errorf("%q is no role: choose reader, writer or moderator", text)
}
