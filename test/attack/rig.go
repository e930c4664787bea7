package attack

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/natsd"
)

// inHub connects to account HUB as the hub's own services do, by the keys of its data
// folder: what somebody could do who has taken them over.
func inHub(c *call, dataDir string) (*line, jetstream.JetStream, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := natsd.LoadKeys(dataDir)
	if err != nil {
		return nil, nil, err
	}
	nc, err := connectTo(at.document.NATS[0], "", keys.HubUser.Options()...)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc.Conn)
	return nc, js, err
}

// rig changes what the hub's services believe, in one of their views, from OLD to NEW; for
// an OLD of - it puts NEW where nothing was. A key handle:NAME is that of a handle.
func rig(c *call) error {
	if err := c.parse(5, 5); err != nil {
		return err
	}
	nc, js, err := inHub(c, c.arg(0))
	if err != nil {
		return err
	}
	defer nc.Close()
	bucket, err := js.KeyValue(c.ctx, c.arg(1))
	if err != nil {
		return err
	}
	key := c.arg(2)
	if handle, is := strings.CutPrefix(key, "handle:"); is {
		key = "handle." + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(handle))
	}
	value := []byte(c.arg(4))
	if c.arg(3) != "-" {
		entry, err := bucket.Get(c.ctx, key)
		if err != nil {
			return err
		}
		if value = bytes.ReplaceAll(entry.Value(), []byte(c.arg(3)), value); bytes.Equal(value, entry.Value()) {
			return fmt.Errorf("there is no %q in %s", c.arg(3), entry.Value())
		}
	}
	if _, err := bucket.Put(c.ctx, key, value); err != nil {
		return err
	}
	report("rigged %s: %s", key, value)
	return nil
}

// insert puts an event into the ledger past the services, as one of them could. It is made
// like that of append.
func insert(c *call) error {
	f := c.forgery()
	raw := c.flags.String("raw", "", "insert this instead of an event")
	if err := c.parse(4, 4); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	subject, whose := chainSubject(s, c.arg(1))
	data := []byte(*raw)
	if *raw == "" {
		if data, err = c.forge(s, f, subject, whose, c.arg(2), c.arg(3)); err != nil {
			return err
		}
	}
	hub, _, err := inHub(c, c.arg(0))
	if err != nil {
		return err
	}
	defer hub.Close()
	answer, err := hub.Request(subject, data, answerTime)
	if err != nil {
		return err
	}
	report("inserted %s", answer.Data)
	return nil
}

// forge is the next event of a chain, altered and signed.
func (c *call) forge(s *self, f *forgery, subject, whose, kind, body string) ([]byte, error) {
	nc, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	ev, err := nc.next(c, s, subject, whose, kind, []byte(body))
	if err != nil {
		return nil, err
	}
	if err := f.alter(ev); err != nil {
		return nil, err
	}
	signer, err := f.signer(s)
	if err != nil {
		return nil, err
	}
	if err := ev.Sign(signer); err != nil {
		return nil, err
	}
	return ev.Encode(), nil
}
