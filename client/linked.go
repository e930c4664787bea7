package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	maxAnswer = 128 << 10        // bytes of what a hub says to a request
	awaitTime = 60 * time.Second // more than the hub keeps somebody waiting
)

// LinkRequest says which device wants to become a member's, and where.
type LinkRequest struct {
	URL    string // the hub's HTTP origin
	Code   string // that a device of the member shows; empty: one is made
	Device string // wanted name of this device
}

// Linking is a device on its way to become a member's. Code is shown to a device of theirs,
// or came from there; URL is the same as a link. Both sides show the Words.
type Linking struct {
	Code  string
	URL   string
	Words string

	profile *Profile
	at      *discovered
	origin  string
	link    *trust.Link
	single  *trust.XKey
	ask     []byte
}

// Link begins to make the device at dir one of a member's, whose other device lets it in. It
// makes a key of its own there, and asks. It brings no identity: that stays where it is.
func Link(ctx context.Context, dir string, r LinkRequest) (*Linking, error) {
	name, err := trust.Name(r.Device)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the device name %q is %w", r.Device, err)
	}
	p := &Profile{dir: dir}
	if err := p.empty(); err != nil {
		return nil, err
	}
	at, err := discover(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	link := trust.NewLink(at.hub.ID)
	if r.Code != "" {
		if link, err = trust.ParseLink(at.hub.ID, r.Code); err != nil {
			return nil, fault.New(fault.Malformed, "%w", err)
		}
	}
	if err := p.makeDevice(); err != nil {
		return nil, err
	}
	l := &Linking{
		Code: link.Code(), URL: LinkURL(r.URL, link.Code()), profile: p, at: at, origin: r.URL, link: link, single: trust.NewXKey(),
	}
	l.ask, err = link.SealAsk(trust.LinkAsk{Device: p.device.String(), XKey: l.single.String(), Name: name})
	if err != nil {
		return nil, err
	}
	l.Words = link.Words(l.ask)
	request := map[string]any{"link": link.ID(), "ask": l.ask}
	return l, post(ctx, r.URL, "/api/link/ask", request, &api.Done{})
}

// empty refuses a folder in which somebody has joined, or begun to.
func (p *Profile) empty() error {
	err := p.read(profileFile, &p.Settings)
	if err == nil {
		return fault.New(fault.Taken, "%s has already joined a hub as %s; choose another folder with --home or KEYHALL_HOME",
			p.dir, p.Settings.Handle)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(p.path(identityFile)); err == nil {
		return fault.New(fault.Taken, "the folder %s holds keys of somebody who began to join; choose another with --home or KEYHALL_HOME", p.dir)
	}
	return nil
}

// makeDevice makes the device's key, or takes up the one that an unfinished try left.
func (p *Profile) makeDevice() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", p.dir, errors.Unwrap(err))
	}
	if content, err := os.ReadDir(p.dir); err == nil && len(content) == 0 {
		_ = os.Chmod(p.dir, 0o700) // as for join
	}
	if err := checkPrivate(p.dir); err != nil {
		return err
	}
	seed, err := os.ReadFile(p.path(deviceFile))
	if err != nil {
		seed = trust.NewKeyPair(trust.Device).Seed()
		if err := writePrivate(p.path(deviceFile), seed); err != nil {
			return err
		}
	}
	if p.device, err = trust.ParseSeed(trust.Device, seed); err != nil {
		return p.damaged(deviceFile, err)
	}
	return nil
}

// Finish waits until the other device lets this one in, ten minutes at most, and writes the
// profile. It believes the hub nothing: the answer comes from the other device, and what that
// has seen of the person's chain must be there.
func (l *Linking) Finish(ctx context.Context) (*Profile, error) {
	sealed, err := l.await(ctx)
	if err != nil {
		return nil, err
	}
	if string(sealed) == noAnswer {
		return nil, fault.New(fault.Refused, "the other device did not let this one in")
	}
	answer, token, err := l.link.OpenAnswer(l.single, l.ask, sealed)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "what came for this device is not from yours; begin again with another code")
	}
	p := l.profile
	if token.Device != p.device.Public() {
		return nil, fault.New(fault.Refused, "what came is for another device; begin again with another code")
	}
	keys := make([]*trust.XKey, len(answer.XKeys))
	for i, seed := range answer.XKeys {
		if keys[i], err = trust.ParseXKeySeed([]byte(seed)); err != nil {
			return nil, fault.Wrap(fault.Refused, err, "what came is not whole; begin again with another code")
		}
	}
	if err := p.keepXKeys(keys); err != nil {
		return nil, err
	}
	p.Settings = Settings{
		URL: l.origin, Hub: l.at.operator, Account: answer.Account, Handle: answer.Handle,
		Device: token.Name, Token: token.Text, Document: l.at.text,
	}
	if err := p.checkLinked(ctx, answer); err != nil {
		return nil, err
	}
	return p, p.write(profileFile, p.Settings)
}

// checkLinked logs in, and verifies that the hub shows the past that the other device knows,
// with this device in it.
func (p *Profile) checkLinked(ctx context.Context, answer *trust.LinkAnswer) error {
	c, err := Connect(ctx, p)
	if err != nil {
		return err
	}
	defer c.Close()
	own, err := c.me(ctx)
	if err != nil {
		return err
	}
	var head event.Hash
	if err := head.UnmarshalText([]byte(answer.Head)); err != nil {
		return fault.Wrap(fault.Refused, err, "what came is not whole; begin again with another code")
	}
	fact := own.Person.Devices[p.device.String()]
	if own.Person.Places[head] != answer.Seq || fact == nil || fact.Token != p.Settings.Token || own.Person.Handle != answer.Handle {
		return fault.Wrap(fault.Refused, ErrFork, "the hub shows another past of you than your other device knows; do not trust it")
	}
	return nil
}

func (l *Linking) await(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, linkLife)
	defer cancel()
	for {
		var got struct {
			Answer []byte `json:"answer"`
		}
		err := post(ctx, l.origin, "/api/link/answer", api.LinkRequest{Link: l.link.ID()}, &got)
		switch {
		case ctx.Err() != nil:
			return nil, fault.New(fault.Expired, "nobody let this device in, and the code is void now; make another one")
		case fault.Is(err, fault.Unavailable):
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		case err != nil:
			return nil, err
		case len(got.Answer) > 0:
			return got.Answer, nil
		}
	}
}

// post makes a request of the hub's HTTP origin, as docs/protocol/web.md has them.
func post(ctx context.Context, origin, path string, request, answer any) error {
	base, err := url.Parse(origin)
	if err != nil {
		return fault.New(fault.Malformed, "%q is not the address of a hub", origin)
	}
	data, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath(path).String(), bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("ask hub: %w", err)
	}
	asked.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(asked)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "no hub answers at %s; is it running, and is the address right?", origin)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the hub at %s broke off", origin)
	}
	if response.StatusCode != http.StatusOK {
		return refused(response.StatusCode, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the hub answered something that cannot be read")
	}
	return nil
}

// refused is what a hub says that refuses a request. Its words are its own, and fit a line.
func refused(status int, body []byte) error {
	var said struct {
		Code    fault.Code `json:"code"`
		Message string     `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		return fault.New(fault.Unavailable, "the hub refused a request (status %d)", status)
	}
	if runes := []rune(said.Message); len(runes) > 300 {
		said.Message = string(runes[:300]) + "…"
	}
	switch said.Code {
	case fault.Malformed, fault.Refused, fault.NotFound, fault.Taken, fault.Conflict, fault.Expired, fault.TooLarge:
		return fault.New(said.Code, "%s", said.Message)
	}
	return fault.New(fault.Unavailable, "%s", said.Message)
}
