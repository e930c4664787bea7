package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// The kinds of a transfer's events, and the longest life of an open.
const (
	openType    = "transfer.open"
	answerType  = "transfer.answer"
	refusalType = "transfer.refusal"
	openLife    = 30 * time.Second
)

// open answers one open. Somebody who cannot prove who they are learns nothing.
func (s *server) open(ctx context.Context, msg *nats.Msg) {
	reader, catalog := tokens(msg.Subject)
	ev, request, err := s.readOpen(ctx, reader, msg)
	if err != nil {
		s.reply(msg, plainRefusal(err))
		if ownTrouble(err) {
			s.tell(catalog, reader, "", "failed: "+err.Error())
		} else {
			s.tell(catalog, reader, "", "refused")
		}
		return
	}
	kind, body := answerType, []byte(nil)
	one, reason := s.begin(ctx, ev, request, reader, catalog)
	if reason == nil {
		body, err = s.answerBody(ev, one)
	} else {
		kind = refusalType
		body, err = seal.Refusal{Open: ev.SignedHash(), Reason: *reason}.Encode()
	}
	if err != nil {
		s.reply(msg, plainRefusal(err))
		return
	}
	box, err := s.boxAnswer(ev, request, kind, reader, body)
	if err != nil {
		s.reply(msg, plainRefusal(err))
		return
	}
	s.reply(msg, seal.AppendAnswerMessage(nil, box))
	outcome := "ok"
	if reason != nil {
		outcome = string(reason.Code)
	}
	s.tell(catalog, reader, request.Entry, outcome)
}

// reply sends an answer and ends the reply: NATS then forgets it.
func (s *server) reply(msg *nats.Msg, data []byte) {
	_ = msg.Respond(data) // a reader that went away asks again, or does not
	_ = msg.Respond(nil)
}

func plainRefusal(err error) []byte {
	reason := seal.Reason{Code: seal.CodeRefused, Message: "this catalog is not shared with you"}
	switch {
	case errors.Is(err, event.ErrMalformed), errors.Is(err, seal.ErrMalformed):
		reason = seal.Reason{Code: seal.CodeMalformed, Message: "the request is malformed"}
	case errors.Is(err, errBusy):
		reason = seal.Reason{Code: seal.CodeBusy, Message: "too many requests at once; try again"}
	case fault.Is(err, fault.Unavailable), ownTrouble(err):
		reason = seal.Reason{Code: seal.CodeBusy, Message: "the owner cannot check who you are at the moment; try again"}
	case errors.Is(err, event.ErrTime):
		reason.Message = "the request is from another time; check the clocks on both sides"
	}
	data, encodeErr := reason.AppendPlain(nil)
	if encodeErr != nil {
		return nil // our own words are within bounds
	}
	return data
}

// ownTrouble reports whether something failed on this machine, which says nothing about
// the reader: what was learned of them could not be kept, say, because the disk is full.
func ownTrouble(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var f *fault.Error
	own := errors.As(err, &f) && f.Code == fault.Internal
	return own || errors.As(err, &path) || errors.As(err, &link)
}

var errBusy = errors.New("too many opens")

// readOpen judges an open: made for here, by a device of the reader whom NATS names, now,
// and for the first time. Only then is it opened.
func (s *server) readOpen(ctx context.Context, reader string, msg *nats.Msg) (*event.Event, seal.Request, error) {
	var none seal.Request
	if !s.allowed(reader) {
		return nil, none, errBusy
	}
	ev, err := event.Decode(msg.Data)
	if err != nil {
		return nil, none, err
	}
	if err := ev.Meant(openType, msg.Subject, s.c.account()); err != nil {
		return nil, none, err
	}
	if err := ev.Check(); err != nil {
		return nil, none, err
	}
	if err := freshOpen(ev, time.Now()); err != nil {
		return nil, none, err
	}
	if ev.Author.Text(trust.Account) != reader {
		return nil, none, fmt.Errorf("%w: asked through another account", chain.ErrRefused)
	}
	if err := s.c.book.vouchPeer(ctx, ev); err != nil {
		return nil, none, err
	}
	if !s.first(ev.SignedHash(), ev.NotAfter) {
		return nil, none, fmt.Errorf("%w: the open was answered before", chain.ErrRefused)
	}
	plaintext, err := s.c.profile.unbox("open", openContext(ev), ev.Body)
	if err != nil {
		return nil, none, err
	}
	request, err := seal.ParseRequest(plaintext)
	if err != nil {
		return nil, none, err
	}
	if request.Hub != s.c.hubID() {
		return nil, none, fmt.Errorf("%w: it is for another hub", event.ErrNotMeant)
	}
	return ev, request, nil
}

// freshOpen judges the time of an open, which may not live long.
func freshOpen(ev *event.Event, now time.Time) error {
	if ev.NotAfter.IsZero() || ev.NotAfter.Sub(ev.Time) > openLife {
		return fmt.Errorf("%w: an open lives %s at most", event.ErrTime, openLife)
	}
	if now.Add(-trust.ClockSkew).After(ev.NotAfter) || ev.Time.After(now.Add(trust.ClockSkew)) {
		return fmt.Errorf("%w: check both clocks", event.ErrTime)
	}
	return nil
}

func openContext(ev *event.Event) []byte {
	binding := append([]byte(nil), ev.ID[:]...)
	binding = append(binding, ev.Author[:]...)
	return append(binding, ev.Device[:]...)
}

// begin starts the transfer that a request asks for, or says why not.
func (s *server) begin(
	ctx context.Context, ev *event.Event, request seal.Request, reader, catalog string,
) (*transfer, *seal.Reason) {
	if !s.rights.standing(request.Grant, catalog, reader) {
		s.refreshRights(ctx) // it may be newer than what we know
		if !s.rights.standing(request.Grant, catalog, reader) {
			return nil, &seal.Reason{Code: seal.CodeRefused, Message: "this catalog is not shared with you, or not any more"}
		}
	}
	content, reason := s.content(s.catalog(catalog), request)
	if reason != nil {
		return nil, reason
	}
	id, err := trust.ParseID(trust.NewID())
	if err != nil {
		return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the transfer could not begin"}
	}
	one := &transfer{
		id: id, reader: reader, catalog: catalog, grant: request.Grant, content: content,
		expires: time.Now().Add(transferLife),
	}
	if !s.transfers.add(one) {
		_ = content.Close()
		return nil, &seal.Reason{Code: seal.CodeBusy, Message: "too many transfers at once; try again"}
	}
	return one, nil
}

// answerBody makes the transfer's key and says all that the reader needs.
func (s *server) answerBody(ev *event.Event, one *transfer) ([]byte, error) {
	key, hash := seal.NewKey(), ev.SignedHash()
	one.mu.Lock()
	one.keys = seal.DeriveKeys(key, hash)
	one.mu.Unlock()
	return seal.Answer{
		Open: hash, Transfer: trust.FormatID(one.id), Node: s.node, Key: key,
		Size: one.content.Size(), Block: seal.BlockSize, Root: one.content.Tree().Root(), Expires: one.expires,
	}.Encode()
}

// boxAnswer signs an answer and boxes it for the key that the reader made for this open.
func (s *server) boxAnswer(ev *event.Event, request seal.Request, kind, reader string, body []byte) ([]byte, error) {
	author, err := trust.ParsePublicKey(trust.Account, s.c.account())
	if err != nil {
		return nil, err
	}
	answer := &event.Event{
		Author: author, Type: kind, Subject: ev.Subject, Audience: reader,
		Head: s.c.book.head(s.c.account()), Body: body,
	}
	if err := answer.Sign(s.c.profile.device); err != nil {
		return nil, err
	}
	hash := ev.SignedHash()
	return trust.Box(request.XKey, "answer", hash[:], answer.Encode())
}

// read answers one read: a block for each index, in order, then the end.
func (s *server) read(msg *nats.Msg) {
	reader, catalog := tokens(msg.Subject)
	id, err := seal.ReadTransfer(msg.Data)
	if err != nil {
		s.reply(msg, plainRefusal(err))
		return
	}
	one := s.transfers.get(id)
	if one == nil || one.reader != reader || one.catalog != catalog {
		if one != nil {
			one.done()
		}
		s.reply(msg, plainReason(seal.CodeRefused, "no such transfer here"))
		return
	}
	defer one.done()
	request, err := one.keys.OpenRead(id, msg.Data)
	if err != nil {
		s.reply(msg, plainReason(seal.CodeRefused, "no such transfer here"))
		return
	}
	if request.Closes() {
		s.transfers.close(one)
		return
	}
	if reason := s.answerRead(msg, one, request); reason != nil {
		refusal, err := one.keys.SealRefusal(nil, id, request.Counter, *reason)
		if err == nil {
			_ = msg.Respond(refusal)
		}
		s.transfers.close(one)
	}
	_ = msg.Respond(nil)
}

// answerRead re-checks the grant, as at every read, and sends the blocks.
func (s *server) answerRead(msg *nats.Msg, one *transfer, request seal.Read) *seal.Reason {
	switch {
	case !s.rights.standing(one.grant, one.catalog, one.reader):
		return &seal.Reason{Code: seal.CodeRefused, Message: "the owner does not share this any more"}
	case time.Now().After(one.expires):
		return &seal.Reason{Code: seal.CodeExpired, Message: "the transfer has expired"}
	case !one.take(request.Counter, len(request.Indexes)):
		return &seal.Reason{Code: seal.CodeRefused, Message: "the transfer was read too often"}
	}
	blocks := seal.Blocks(one.content.Size())
	space := s.buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put there
	defer s.buffers.Put(space)
	buffer := (*space)[:0]
	for position, index := range request.Indexes {
		if int64(index) >= blocks {
			return &seal.Reason{Code: seal.CodeMalformed, Message: "there is no such block"}
		}
		data, err := one.content.ReadBlock(index, seal.BlockSpace(buffer))
		switch {
		case errors.Is(err, folder.ErrChanged):
			return &seal.Reason{Code: seal.CodeChanged, Message: "the file has changed while it was read"}
		case err != nil:
			return &seal.Reason{Code: seal.CodeUnavailable, Message: "the file cannot be read at the moment"}
		}
		proof, err := one.content.Tree().Proof(index)
		if err != nil {
			return &seal.Reason{Code: seal.CodeMalformed, Message: "there is no such block"}
		}
		block := one.keys.SealBlock(buffer, one.id, uint8(position), index, data, proof) //nolint:gosec // at most 15
		if err := msg.Respond(block); err != nil {
			return nil // the connection is gone, and with it the reader's wait
		}
	}
	return nil
}

func plainReason(code seal.Code, message string) []byte {
	data, err := seal.Reason{Code: code, Message: message}.AppendPlain(nil)
	if err != nil {
		return nil // our own words are within bounds
	}
	return data
}

func (s *server) tell(catalog, reader, path, outcome string) {
	if s.report == nil {
		return
	}
	name := catalog
	if v := s.catalog(catalog); v != nil {
		name = v.file.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(ServeReport{Catalog: name, Reader: reader, Path: path, Outcome: outcome})
}
