package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// How a reader pulls: so many reads of so many blocks are under way for one content.
const (
	blocksPerRead = 4
	readsAtOnce   = 4
	openTime      = 10 * time.Second
	blockTime     = 10 * time.Second // without any message
	readTries     = 4
	busyPause     = 200 * time.Millisecond
)

// ErrOffline is the error of a catalog whose owner does not serve it at the moment.
var ErrOffline = errors.New("the owner is not serving")

// ErrChanged is the error of a file that is not the one that was listed.
var ErrChanged = errors.New("the file has changed")

// errUnsigned is the error of a refusal in the clear, which anybody on the way can have made.
var errUnsigned = errors.New("nobody has signed this")

// errLost is the error of a transfer that its owner does not know (any more).
var errLost = errors.New("transfer lost")

// source is an entry of a catalog that the member may read.
type source struct {
	c     *Client
	share *InboxItem
	entry string    // path; empty for the listing
	root  seal.Hash // what the listing said; zero for the listing itself
}

func (s *source) catalog() string { return s.share.From + "/" + s.share.Catalog }

// pull is an open transfer, on the reader's side.
type pull struct {
	source  *source
	id      [16]byte
	subject string
	keys    *seal.Keys
	answer  seal.Answer

	mu      sync.Mutex
	counter uint64
	asked   int64 // blocks
}

// openSized is open for a content that was listed with a size.
func (s *source) openSized(ctx context.Context, size int64) (*pull, error) {
	opened, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if opened.answer.Size != size {
		opened.close()
		return nil, fault.Wrap(fault.Conflict, ErrChanged, "%q has another size than was listed", s.entry)
	}
	return opened, nil
}

// open opens a transfer: a signed request sealed for the owner, an answer signed by the
// owner and sealed for a key made for this open alone.
func (s *source) open(ctx context.Context) (*pull, error) {
	for try := 1; ; try++ {
		opened, err := s.openOnce(ctx)
		var reason *seal.Reason
		if !errors.As(err, &reason) || reason.Code != seal.CodeBusy || try == readTries {
			return opened, s.explain(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * busyPause):
		}
	}
}

func (s *source) openOnce(ctx context.Context) (*pull, error) {
	xkey := trust.NewXKey()
	ev, err := s.openEvent(xkey)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	from := "from." + s.share.owner.Account + "." + s.share.catalogID
	msg, err := s.c.nc.RequestWithContext(ctx, from+".open", ev.Encode())
	if err != nil {
		return nil, err
	}
	box, reason, err := seal.ParseAnswerMessage(msg.Data)
	if err != nil {
		return nil, err
	}
	if reason != nil {
		return nil, fmt.Errorf("%w: %w", errUnsigned, reason)
	}
	answer, err := s.openAnswer(ctx, ev, xkey, box)
	if err != nil {
		return nil, err
	}
	id, err := trust.ParseID(answer.Transfer)
	if err != nil {
		return nil, err
	}
	return &pull{
		source: s, id: id, subject: from + ".read." + answer.Node, answer: *answer,
		keys: seal.DeriveKeys(answer.Key, ev.SignedHash()),
	}, nil
}

// openEvent is the signed request.
func (s *source) openEvent(xkey *trust.XKey) (*event.Event, error) {
	author, err := trust.ParsePublicKey(trust.Account, s.c.account())
	if err != nil {
		return nil, err
	}
	request, err := seal.Request{
		Hub: s.c.hubID(), Grant: s.share.grant, Entry: s.entry, Root: s.root, XKey: xkey.String(),
	}.Encode()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ev := &event.Event{
		Author: author, Type: openType, Subject: "catalog." + s.c.account() + "." + s.share.catalogID + ".open",
		Audience: s.share.owner.Account, Head: s.c.book.head(s.c.account()), Time: now, NotAfter: now.Add(openLife),
	}
	if err := ev.Stamp(s.c.profile.device.Public()); err != nil {
		return nil, err
	}
	if ev.Body, err = trust.Box(s.share.owner.xkey, "open", openContext(ev), request); err != nil {
		return nil, err
	}
	return ev, ev.Sign(s.c.profile.device)
}

// openAnswer judges an answer: by a device of the owner, to this open, and about the
// content that was listed.
func (s *source) openAnswer(ctx context.Context, ev *event.Event, xkey *trust.XKey, box []byte) (*seal.Answer, error) {
	hash := ev.SignedHash()
	signed, err := trust.Unbox(xkey, "answer", hash[:], box)
	if err != nil {
		return nil, err
	}
	answer, err := event.Decode(signed)
	if err != nil {
		return nil, err
	}
	kind := answerType
	if answer.Type == refusalType {
		kind = refusalType
	}
	if err := answer.Meant(kind, ev.Subject, s.c.account()); err != nil {
		return nil, err
	}
	if err := answer.Check(); err != nil {
		return nil, err
	}
	if answer.Author.Text(trust.Account) != s.share.owner.Account {
		return nil, fmt.Errorf("%w: the answer is not the owner's", chain.ErrRefused)
	}
	if err := s.c.book.vouchPeer(ctx, answer); err != nil {
		return nil, err
	}
	return s.judgeBody(kind, hash, answer.Body)
}

func (s *source) judgeBody(kind string, hash seal.Hash, body []byte) (*seal.Answer, error) {
	if kind == refusalType {
		refusal, err := seal.ParseRefusal(body)
		if err != nil {
			return nil, err
		}
		if refusal.Open != hash {
			return nil, fmt.Errorf("%w: it answers another open", event.ErrNotMeant)
		}
		return nil, &refusal.Reason
	}
	answer, err := seal.ParseAnswer(body)
	switch {
	case err != nil:
		return nil, err
	case answer.Open != hash:
		return nil, fmt.Errorf("%w: it answers another open", event.ErrNotMeant)
	case !s.root.IsZero() && answer.Root != s.root:
		return nil, &seal.Reason{Code: seal.CodeChanged, Message: "the owner offers another file than the one that was listed"}
	}
	return &answer, nil
}

// explain turns what went wrong into a sentence.
func (s *source) explain(err error) error {
	if err == nil {
		return nil
	}
	what := s.catalog()
	if s.entry != "" {
		what = fmt.Sprintf("%s/%s", what, s.entry)
	}
	var reason *seal.Reason
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(fault.Unavailable, ErrOffline, "%s is not serving %s at the moment", s.share.From, s.share.Catalog)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.Wrap(fault.Unavailable, ErrOffline, "%s does not answer for %s", s.share.From, s.share.Catalog)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, errUnsigned) && errors.As(err, &reason):
		return fault.Wrap(faultCode(reason.Code), err, "%q: %s (%s has not signed this answer; it may be the hub's)",
			what, reason.Message, s.share.From)
	case errors.As(err, &reason) && reason.Code == seal.CodeChanged:
		return fault.Wrap(fault.Conflict, ErrChanged, "%q: %s", what, reason.Message)
	case errors.As(err, &reason):
		return fault.Wrap(faultCode(reason.Code), err, "%q: %s", what, reason.Message)
	}
	return explain(err, fmt.Sprintf("the answer for %q", what))
}

func faultCode(code seal.Code) fault.Code {
	switch code {
	case seal.CodeNotFound:
		return fault.NotFound
	case seal.CodeBusy, seal.CodeUnavailable, seal.CodeExpired:
		return fault.Unavailable
	case seal.CodeMalformed:
		return fault.Malformed
	}
	return fault.Refused
}

// close tells the owner that no more reads come.
func (p *pull) close() {
	if data, err := p.keys.SealRead(nil, p.id, seal.Read{Counter: p.next()}); err == nil {
		_ = p.source.c.nc.Publish(p.subject, data) // the owner forgets it in a minute anyway
	}
}

func (p *pull) next() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counter++
	return p.counter
}

// good counts blocks that are to be asked for; false where the owner would call it too often.
func (p *pull) good(blocks int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked+int64(blocks) > 2*seal.Blocks(p.answer.Size)+spareBlocks {
		return false
	}
	p.asked += int64(blocks)
	return true
}

// read asks for blocks and hands each to take, verified. Replies come to in, which
// holds those of one read at a time.
func (p *pull) read(ctx context.Context, in *inbox, indexes []uint32, take func(uint32, []byte) error) error {
	request := seal.Read{Counter: p.next(), Indexes: indexes}
	data, err := p.keys.SealRead(nil, p.id, request)
	if err != nil {
		return err
	}
	reply := in.next()
	if err := p.source.c.nc.PublishRequest(p.subject, reply, data); err != nil {
		return err
	}
	for taken := 0; ; {
		msg, err := in.receive(ctx, reply)
		if err != nil {
			return err
		}
		answer, err := seal.ParseReply(msg.Data)
		if err != nil {
			return err
		}
		switch answer.Kind {
		case seal.KindEnd:
			if taken < len(indexes) {
				return errLost
			}
			return nil
		case seal.KindPlainRefusal:
			return errLost // a hint, from whoever it is: open again and see
		case seal.KindRefusal:
			reason, err := p.keys.OpenRefusal(p.id, request.Counter, msg.Data)
			if err != nil {
				return err
			}
			return &reason
		}
		if int(answer.Position) != taken || taken == len(indexes) {
			return errLost
		}
		if err := p.takeBlock(indexes[taken], msg.Data, take); err != nil {
			return err
		}
		taken++
	}
}

func (p *pull) takeBlock(index uint32, msg []byte, take func(uint32, []byte) error) error {
	data, proof, err := p.keys.OpenBlock(seal.BlockSpace(msg), p.id, p.answer.Size, index, msg)
	if err != nil {
		return err
	}
	if err := seal.Verify(p.answer.Root, p.answer.Size, index, data, proof); err != nil {
		return err
	}
	return take(index, data)
}

// download pulls the blocks of a content that are missing, several reads at a time, and
// opens the transfer again when its owner has lost it.
type download struct {
	source *source
	take   func(index uint32, data []byte) error

	mu   sync.Mutex
	pull *pull
}

// run pulls the blocks with the given indexes. first is an open transfer of the source.
func (d *download) run(ctx context.Context, first *pull, indexes []uint32) error {
	d.pull = first
	chunks := make(chan []uint32)
	group, ctx := errgroup.WithContext(ctx)
	for range min(readsAtOnce, (len(indexes)+blocksPerRead-1)/blocksPerRead) {
		group.Go(func() error { return d.work(ctx, chunks) })
	}
	group.Go(func() error {
		defer close(chunks)
		for len(indexes) > 0 {
			n := min(blocksPerRead, len(indexes))
			select {
			case chunks <- indexes[:n]:
			case <-ctx.Done():
				return ctx.Err()
			}
			indexes = indexes[n:]
		}
		return nil
	})
	err := group.Wait()
	d.current().close()
	return d.source.explain(err)
}

func (d *download) current() *pull {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pull
}

// good is a transfer of which so many more blocks may be asked.
func (d *download) good(ctx context.Context, blocks int) (*pull, error) {
	for {
		current := d.current()
		if current.good(blocks) {
			return current, nil
		}
		if err := d.reopen(ctx, current); err != nil {
			return nil, err
		}
	}
}

func (d *download) work(ctx context.Context, chunks <-chan []uint32) error {
	in, err := d.source.c.inboxes.take()
	if err != nil {
		return err
	}
	defer d.source.c.inboxes.give(in)
	for chunk := range chunks {
		if err := d.fetch(ctx, in, chunk); err != nil {
			return err
		}
	}
	return nil
}

// fetch pulls one chunk, again and again if need be; blocks that came are not asked for
// twice.
func (d *download) fetch(ctx context.Context, in *inbox, chunk []uint32) error {
	var err error
	for range readTries {
		current, openErr := d.good(ctx, len(chunk))
		if openErr != nil {
			return openErr
		}
		err = current.read(ctx, in, chunk, func(index uint32, data []byte) error {
			if err := d.take(index, data); err != nil {
				return err
			}
			chunk = chunk[1:]
			return nil
		})
		if err == nil || len(chunk) == 0 {
			return nil
		}
		var reason *seal.Reason
		expired := errors.As(err, &reason) && reason.Code == seal.CodeExpired
		if ctx.Err() != nil || !(expired || retryable(err)) {
			return err
		}
		if err := d.reopen(ctx, current); err != nil {
			return err
		}
	}
	return err
}

func retryable(err error) bool {
	return errors.Is(err, errLost) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, seal.ErrSealed) || errors.Is(err, seal.ErrMalformed)
}

// reopen opens the transfer again, once for all reads that found it lost.
func (d *download) reopen(ctx context.Context, lost *pull) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pull != lost {
		return nil
	}
	fresh, err := d.source.open(ctx)
	if err != nil {
		return err
	}
	if fresh.answer.Root != lost.answer.Root {
		return &seal.Reason{Code: seal.CodeChanged, Message: "the content has changed meanwhile"}
	}
	d.pull = fresh
	return nil
}
