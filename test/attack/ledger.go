package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// chainOf reads all events of a chain through the hub API: that of an account, or of a
// room if it is an id.
func (l *line) chainOf(whose string) ([]*event.Event, error) {
	var events []*event.Event
	for {
		request, verb := api.ChainRequest{Account: whose, After: uint64(len(events))}, "people.chain"
		if _, err := trust.ParseID(whose); err == nil {
			request, verb = api.ChainRequest{Room: whose, After: uint64(len(events))}, "rooms.chain"
		}
		var page api.ChainPage
		if err := l.call(verb, request, &page); err != nil {
			return nil, err
		}
		for _, entry := range page.Events {
			ev, err := event.Decode(entry.Event)
			if err != nil {
				return nil, err
			}
			events = append(events, ev)
		}
		if len(page.Events) == 0 || uint64(len(events)) >= page.Head {
			return events, nil
		}
	}
}

// call asks the hub API; []byte goes as it is.
func (l *line) call(verb string, request, answer any) error {
	data, raw := request.([]byte)
	if !raw {
		var err error
		if data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	msg, err := l.ask(&nats.Msg{Subject: "hub." + verb, Data: data})
	if err != nil {
		return err
	}
	return json.Unmarshal(msg.Data, answer)
}

// end is the place and the hash of a chain's newest event.
func end(events []*event.Event) (uint64, event.Hash) {
	if len(events) == 0 {
		return 0, event.Hash{}
	}
	newest := events[len(events)-1]
	return newest.Seq, newest.Hash()
}

// forgery is an event and in what it differs from an honest one.
type forgery struct {
	author *string
	head   *string
	next   *int
	key    *string
	age    *time.Duration
	hub    *string
	id     *string
}

func (c *call) forgery() *forgery {
	return &forgery{
		author: c.flags.String("author", "", "the account that it claims to be by"),
		head:   c.flags.String("head", "", "the head that it names, or bogus"),
		next:   c.flags.Int("next", 0, "the place that it claims in its chain"),
		key:    c.flags.String("key", "device", "who signs: device, identity, stranger, or a profile's folder"),
		age:    c.flags.Duration("age", 0, "how long ago it claims to have been signed"),
		hub:    c.flags.String("audience", "", "the hub that it is for"),
		id:     c.flags.String("id", "", "the id that it has"),
	}
}

// signer is the key that signs.
func (f *forgery) signer(s *self) (*trust.KeyPair, error) {
	switch *f.key {
	case "device":
		return s.device, nil
	case "identity":
		return s.identity, nil
	case "stranger":
		return trust.NewKeyPair(trust.Device), nil
	}
	other, err := readSelf(*f.key)
	if err != nil {
		return nil, err
	}
	return other.device, nil
}

// alter puts what the flags say into an event that was honest.
func (f *forgery) alter(ev *event.Event) error {
	if *f.author != "" {
		author, err := trust.ParsePublicKey(trust.Account, *f.author)
		if err != nil {
			return err
		}
		ev.Author = author
	}
	if *f.head == "bogus" {
		ev.Head = event.Hash{1, 2, 3}
	} else if *f.head != "" {
		if err := ev.Head.UnmarshalText([]byte(*f.head)); err != nil {
			return err
		}
	}
	if *f.next != 0 {
		ev.Seq = uint64(*f.next) //nolint:gosec // the script's own number
		if ev.Seq == 1 {
			ev.Prev = event.Hash{} // what begins a chain has nothing before it
		}
	}
	if *f.hub != "" {
		ev.Audience = *f.hub
	}
	if *f.id != "" {
		id, err := uuid.Parse(*f.id)
		if err != nil {
			return err
		}
		ev.ID = id
	}
	ev.Time = time.Now().Add(-*f.age)
	return nil
}

// appendEvent makes the next event of a chain and has the hub append it.
func appendEvent(c *call) error {
	f := c.forgery()
	service := c.flags.String("service", "", "the service to ask, instead of the one for the type")
	if err := c.parse(3, 3); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	subject, whose := chainSubject(s, c.arg(0))
	body, err := argument(c.arg(2))
	if err != nil {
		return err
	}
	ev, err := nc.next(c, s, subject, whose, c.arg(1), body)
	if err != nil {
		return err
	}
	if *service == "" {
		*service = serviceOf(c.arg(1))
	}
	return nc.submit(s, f, ev, *service)
}

// sign alters an event and signs it with the key that was asked for.
func (f *forgery) sign(s *self, ev *event.Event) error {
	if err := f.alter(ev); err != nil {
		return err
	}
	key, err := f.signer(s)
	if err != nil {
		return err
	}
	return ev.Sign(key)
}

// submit alters an event, signs it and has a service append it.
func (l *line) submit(s *self, f *forgery, ev *event.Event, service string) error {
	if err := f.sign(s, ev); err != nil {
		return err
	}
	var done api.Appended
	if err := l.call(service+".append", ev.Encode(), &done); err != nil {
		return err
	}
	report("appended at place %d", done.Seq)
	return nil
}

// next is the honest next event of a chain, but for its signature.
func (l *line) next(c *call, s *self, subject, whose, kind string, body []byte) (*event.Event, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, err
	}
	own, err := l.chainOf(s.account())
	if err != nil {
		return nil, err
	}
	var events []*event.Event
	if whose != "" {
		if events, err = l.chainOf(whose); err != nil {
			return nil, err
		}
	}
	ev := &event.Event{Author: s.author, Type: kind, Subject: subject, Audience: at.id, Body: body}
	_, ev.Head = end(own)
	ev.Seq, ev.Prev = end(events)
	ev.Seq++
	return ev, nil
}

// chainSubject reads own, person:A, room:ID, new-room:ID (no chain yet) or a subject.
func chainSubject(s *self, text string) (subject, whose string) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "own":
		return chain.PersonSubject(s.account()), s.account()
	case "person":
		return chain.PersonSubject(rest), rest
	case "room":
		return chain.RoomSubject(rest), rest
	case "new-room":
		return chain.RoomSubject(rest), ""
	}
	return text, ""
}

func serviceOf(kind string) string {
	prefix, _, _ := strings.Cut(kind, ".")
	return map[string]string{"person": "people", "share": "shares", "room": "rooms"}[prefix]
}

// argument is an argument's text, with @ in front the content of a file, or with q: in front
// what is Go-quoted.
func argument(text string) ([]byte, error) {
	if quoted, is := strings.CutPrefix(text, "q:"); is {
		plain, err := strconv.Unquote(quoted)
		return []byte(plain), err
	}
	if name, file := strings.CutPrefix(text, "@"); file {
		return os.ReadFile(name)
	}
	return []byte(text), nil
}

// claim adds a device to one's own chain by its key alone: the token is one's own to sign,
// whoever holds the key.
func claim(c *call) error {
	f := c.forgery()
	if err := c.parse(2, 2); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	device, err := trust.ParsePublicKey(trust.Device, c.arg(0))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	issuer := s.identity
	if issuer == nil { // a thief has none, and takes what there is
		issuer = trust.NewKeyPair(trust.Account)
	}
	now := time.Now()
	token, err := trust.IssueDevice(issuer, device, c.arg(1), now, now.Add(time.Hour))
	if err != nil {
		return err
	}
	return c.addDevice(s, f, token.Text)
}

// addDevice appends a device with a token to one's own chain.
func (c *call) addDevice(s *self, f *forgery, token string) error {
	body, err := trust.Canonical(chain.DeviceBody{Token: token})
	if err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	ev, err := nc.next(c, s, chain.PersonSubject(s.account()), s.account(), chain.AddDevice, body)
	if err != nil {
		return err
	}
	return nc.submit(s, f, ev, "people")
}
