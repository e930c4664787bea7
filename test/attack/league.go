package attack

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natsd"
)

// inLeague connects to ROOMS with every right there is, by the keys of a hub's data
// folder: what its host could do.
func inLeague(ctx context.Context, dataDir string) (*line, error) {
	at, err := where(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := natsd.LoadKeys(dataDir)
	if err != nil {
		return nil, err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := user.PublicKey()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount = "host", keys.Rooms
	claims.Expires = time.Now().Add(time.Hour).Unix()
	claims.Pub.Allow.Add(">")
	claims.Sub.Allow.Add(">")
	token, err := claims.Encode(keys.RoomsSigner)
	if err != nil {
		return nil, err
	}
	return connectTo(at.document.NATS[0], "_INBOX_"+public,
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign))
}

// know is the room's chain, from the hub or, once one is put out, from a file in which it
// was kept.
func (m *message) know(c *call, room, hub string) (*hall, error) {
	if *m.epoch == "" {
		nc, err := (&call{ctx: c.ctx, login: new("own")}).dial()
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		return nc.hall(room, hub)
	}
	return recollect(*m.epoch, hub)
}

// keep writes a room's chain to a file.
func keep(c *call) error {
	if err := c.parse(2, 2); err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	events, err := nc.chainOf(c.arg(0))
	if err != nil {
		return err
	}
	var kept [][]byte
	for _, ev := range events {
		kept = append(kept, ev.Encode())
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	report("kept %d events", len(kept))
	return os.WriteFile(c.arg(1), data, 0o600)
}

func recollect(path, hub string) (*hall, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kept [][]byte
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, err
	}
	h := new(hall)
	for _, one := range kept {
		ev, err := event.Decode(one)
		if err != nil {
			return nil, err
		}
		if err := h.Apply(hub, ev); err != nil {
			return nil, err
		}
		h.events = append(h.events, ev)
	}
	return h, nil
}

// showKeys shows public keys of a hub that its members are never told.
func showKeys(c *call) error {
	if err := c.parse(1, 1); err != nil {
		return err
	}
	keys, err := natsd.LoadKeys(c.arg(0))
	if err != nil {
		return err
	}
	line, err := json.Marshal(map[string]string{
		"callout": keys.CalloutUser.PublicKey, "hub": keys.Hub, "rooms": keys.Rooms, "system": keys.System, "auth": keys.Auth,
	})
	if err != nil {
		return err
	}
	report("%s", line)
	return nil
}
