package attack

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// ticket is all that a transfer takes: whoever has it has the keys.
type ticket struct {
	Open   seal.Hash
	Answer seal.Answer
}

func keepTicket(path string, t ticket) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// readAsAnother reads a block by a ticket that somebody else was given.
func (a *asking) readAsAnother(nc *line) error {
	data, err := os.ReadFile(*a.use)
	if err != nil {
		return err
	}
	var t ticket
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	if *a.index < 0 {
		*a.index = 0
	}
	return a.readBlock(nc, t)
}

// readBlock reads one block, as often as -count says.
func (a *asking) readBlock(nc *line, t ticket) error {
	keys := seal.DeriveKeys(t.Answer.Key, t.Open)
	id, err := trust.ParseID(t.Answer.Transfer)
	if err != nil {
		return err
	}
	if *a.through == "" || *a.use == "" {
		*a.through = "from." + a.owner + "." + a.catalog + ".read." + t.Answer.Node
	}
	for i := range *a.count {
		counter := uint64(i) + 1                                                                             //nolint:gosec // the script's own number
		ask, err := keys.SealRead(nil, id, seal.Read{Counter: counter, Indexes: []uint32{uint32(*a.index)}}) //nolint:gosec // so too
		if err != nil {
			return err
		}
		msg, err := nc.ask(&nats.Msg{Subject: *a.through, Data: ask})
		if err != nil {
			return err
		}
		answer, err := seal.ParseReply(msg.Data)
		switch {
		case err != nil:
			return err
		case answer.Kind == seal.KindPlainRefusal:
			return fmt.Errorf("read %d %w in the clear: %s", i, errRefused, answer.Reason.Message)
		case answer.Kind == seal.KindRefusal:
			reason, err := keys.OpenRefusal(id, counter, msg.Data)
			if err != nil {
				return err
			}
			return fmt.Errorf("read %d %w: %s: %s", i, errRefused, reason.Code, reason.Message)
		}
	}
	report("%d times block %d", *a.count, *a.index)
	return nil
}
