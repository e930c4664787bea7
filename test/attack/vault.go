package attack

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

// backup leaves a backup at the hub: under a code, or under a recovery key whose code one
// does not have.
func backup(c *call) error {
	f := c.forgery()
	under := c.flags.String("under", "", "the recovery key that it names, instead of the code's")
	cosign := c.flags.String("cosign", "code", "who co-signs: code, stranger or nobody")
	bytes := c.flags.Int("bytes", 100, "how long it is")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	code, err := codeOf(c.arg(0), at.id)
	if err != nil {
		return err
	}
	name := code.Key().String()
	if *under != "" {
		name = *under
	}
	ev := &event.Event{
		Author: s.author, Type: "recovery.put", Subject: event.RecoverySubject(name), Audience: at.id,
		Body: make([]byte, *bytes),
	}
	if err := f.sign(s, ev); err != nil {
		return err
	}
	if *cosign != "nobody" {
		by := code.Key()
		if *cosign == "stranger" {
			by = trust.NewKeyPair(trust.Device)
		}
		if err := ev.CoSign(by); err != nil {
			return err
		}
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	var done api.Appended
	if err := nc.call("recovery.put", ev.Encode(), &done); err != nil {
		return err
	}
	report("left under %s", name)
	return nil
}

// codeOf reads a recovery code; new makes one.
func codeOf(text, hub string) (*trust.Recovery, error) {
	if text == "new" {
		return trust.NewRecovery(hub), nil
	}
	return trust.ParseRecovery(text)
}

// fetch gets the backup under a code and shows whether the code opens it. With -key it asks
// for the one under another key.
func fetch(c *call) error {
	under := c.flags.String("key", "", "the recovery key to ask for")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	code, err := codeOf(c.arg(0), at.id)
	if err != nil {
		return err
	}
	*c.login = "code:" + code.Code()
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	name := code.Key().String()
	if *under != "" {
		name = *under
	}
	msg, err := nc.ask(&nats.Msg{Subject: "recovery." + name + ".get", Data: []byte("{}")})
	if err != nil {
		return err
	}
	report("got %d bytes", base64.StdEncoding.DecodedLen(len(msg.Data)))
	return nil
}

// codeKey shows the public key of a recovery code.
func codeKey(c *call) error {
	if err := c.parse(1, 1); err != nil {
		return err
	}
	code, err := trust.ParseRecovery(c.arg(0))
	if err != nil {
		return err
	}
	report("%s", fmt.Sprintf(`{"key":%q,"at":%q}`, code.Key(), time.Now().UTC().Format(time.RFC3339)))
	return nil
}
