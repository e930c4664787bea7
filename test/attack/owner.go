package attack

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// owner serves a catalog as no honest program would.
type owner struct {
	nc   *line
	self *self
	head event.Hash

	listing []byte
	content []byte
	flags   ownerFlags
	moving  map[[16]byte]*moving
}

type ownerFlags struct {
	stranger *bool
	liar     *bool
	empty    *bool
	other    *string
	says     *string
}

// moving is a transfer that is under way.
type moving struct {
	keys *seal.Keys
	data []byte
	tree *seal.Tree
}

// own serves a catalog: the file LISTING is its listing, as it stands but for {size} and
// {root}, which become those of the file CONTENT; every entry has that content.
func own(c *call) error {
	f := ownerFlags{
		stranger: c.flags.Bool("stranger", false, "answers are signed by a key that is not the owner's"),
		liar:     c.flags.Bool("liar", false, "what is sent is not what the listing says, and claims to be"),
		empty:    c.flags.Bool("silent", false, "answer no read"),
		other:    c.flags.String("other", "", "answer with another open's hash"),
		says:     c.flags.String("says", "", "refuse everything with these words (Go-quoted)"),
	}
	if err := c.parse(3, 3); err != nil {
		return err
	}
	o := &owner{flags: f, moving: make(map[[16]byte]*moving)}
	var err error
	if o.self, err = me(); err != nil {
		return err
	}
	if err := o.load(c.arg(1), c.arg(2)); err != nil {
		return err
	}
	if o.nc, err = c.dial(); err != nil {
		return err
	}
	defer o.nc.Close()
	chain, err := o.nc.chainOf(o.self.account())
	if err != nil {
		return err
	}
	_, o.head = end(chain)
	if _, err := o.nc.Subscribe("catalog.*."+c.arg(0)+".>", o.hear); err != nil {
		return err
	}
	if err := o.nc.settle(); err != nil {
		return err
	}
	report("serving")
	<-c.ctx.Done()
	return nil
}

func (o *owner) load(listing, content string) error {
	var err error
	if o.content, err = os.ReadFile(content); err != nil {
		return err
	}
	template, err := os.ReadFile(listing)
	if err != nil {
		return err
	}
	tree, err := treeOf(o.content)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(template), "{size}", fmt.Sprint(len(o.content)))
	o.listing = []byte(strings.ReplaceAll(text, "{root}", tree.Root().String()))
	return nil
}

func treeOf(data []byte) (*seal.Tree, error) {
	sum, err := seal.HashReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return seal.NewTree(sum.Size, sum.Leaves)
}

// hear answers an open or a read; what cannot be answered is shown and left alone.
func (o *owner) hear(msg *nats.Msg) {
	var err error
	if strings.HasSuffix(msg.Subject, ".open") {
		err = o.open(msg)
	} else {
		err = o.read(msg)
	}
	if err != nil {
		report("left alone: %v", err)
	}
}

func (o *owner) open(msg *nats.Msg) error {
	if *o.flags.says != "" {
		return o.refuse(msg)
	}
	ev, err := event.Decode(msg.Data)
	if err != nil {
		return err
	}
	binding := bytes.Join([][]byte{ev.ID[:], ev.Author[:], ev.Device[:]}, nil)
	plain, err := trust.Unbox(o.self.person, "open", binding, ev.Body)
	if err != nil {
		return err
	}
	wish, err := seal.ParseRequest(plain)
	if err != nil {
		return err
	}
	report("asked for %q", wish.Entry)
	data := o.content
	if wish.Entry == "" {
		data = o.listing
	}
	tree, err := treeOf(data)
	if err != nil {
		return err
	}
	answer, m, err := o.answer(ev, wish, data, tree)
	if err != nil {
		return err
	}
	id, err := trust.ParseID(answer.Transfer)
	if err != nil {
		return err
	}
	o.moving[id] = m
	return o.send(msg, ev, wish, answer)
}

// refuse answers with words of one's own.
func (o *owner) refuse(msg *nats.Msg) error {
	words, err := strconv.Unquote(*o.flags.says)
	if err != nil {
		return err
	}
	data, err := seal.Reason{Code: seal.CodeRefused, Message: words}.AppendPlain(nil)
	if err != nil {
		return err
	}
	if err := msg.Respond(data); err != nil {
		return err
	}
	return msg.Respond(nil)
}

func (o *owner) answer(ev *event.Event, wish seal.Request, data []byte, tree *seal.Tree) (*seal.Answer, *moving, error) {
	hash := ev.SignedHash()
	answer := &seal.Answer{
		Open: hash, Transfer: trust.NewID(), Node: trust.NewID(), Key: seal.NewKey(), Size: int64(len(data)),
		Block: seal.BlockSize, Root: tree.Root(), Expires: time.Now().Add(time.Hour),
	}
	if *o.flags.other != "" {
		answer.Open = seal.Hash{1}
	}
	m := &moving{keys: seal.DeriveKeys(answer.Key, hash), data: data, tree: tree}
	if *o.flags.liar && wish.Entry != "" {
		m.data = bytes.Repeat([]byte("X"), len(data))
		var err error
		if m.tree, err = treeOf(m.data); err != nil {
			return nil, nil, err
		}
	}
	return answer, m, nil
}

func (o *owner) send(msg *nats.Msg, ev *event.Event, wish seal.Request, answer *seal.Answer) error {
	body, err := answer.Encode()
	if err != nil {
		return err
	}
	reply := &event.Event{
		Author: o.self.author, Type: "transfer.answer", Subject: ev.Subject,
		Audience: ev.Author.Text(trust.Account), Head: o.head, Body: body,
	}
	signer := o.self.device
	if *o.flags.stranger {
		signer = trust.NewKeyPair(trust.Device)
	}
	if err := reply.Sign(signer); err != nil {
		return err
	}
	hash := ev.SignedHash()
	box, err := trust.Box(wish.XKey, "answer", hash[:], reply.Encode())
	if err != nil {
		return err
	}
	if err := msg.Respond(seal.AppendAnswerMessage(nil, box)); err != nil {
		return err
	}
	return msg.Respond(nil)
}

func (o *owner) read(msg *nats.Msg) error {
	id, err := seal.ReadTransfer(msg.Data)
	if err != nil {
		return err
	}
	m := o.moving[id]
	if m == nil || *o.flags.empty {
		return fmt.Errorf("no answer for this read")
	}
	read, err := m.keys.OpenRead(id, msg.Data)
	if err != nil {
		return err
	}
	for position, index := range read.Indexes {
		start := int(index) * seal.BlockSize
		data := m.data[start : start+seal.BlockLen(int64(len(m.data)), index)]
		proof, err := m.tree.Proof(index)
		if err != nil {
			return err
		}
		block := m.keys.SealBlock(nil, id, uint8(position), index, data, proof) //nolint:gosec // at most 15
		if err := msg.Respond(block); err != nil {
			return err
		}
	}
	return msg.Respond(nil)
}
