package client

import (
	"container/list"
	"context"
	"errors"
	"path"
	"slices"
	"sync"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/seal"
)

// How much of a file is in memory while it is read, whatever its size.
const (
	mediaAhead = 16 // blocks that are asked for before a reader is there
	mediaKept  = 48
)

// errLeft is the error of a block whose reader went elsewhere before it came.
var errLeft = errors.New("nobody waits for this block any more")

// Media is a file in a catalog that is read from wherever one likes, while it is fetched.
// Every block is verified before a reader has any of it; nothing is written to a disk. All
// readers of it share one transfer, which is opened again when its owner has forgotten it.
type Media struct {
	Name  string // of the file, without its folders
	Entry seal.Entry

	c     *Client
	share *InboxItem
	pulls *download

	ctx   context.Context //nolint:containedctx // ends with Close, and with it what its readers asked for
	stop  context.CancelFunc
	under sync.WaitGroup
	slots chan struct{} // one for each read under way

	mu     sync.Mutex
	blocks map[uint32]*mediaBlock // those that are here, or were asked for
	kept   *list.List             // those that are here, the one that was used last in front
}

// mediaBlock is a block that was asked for.
type mediaBlock struct {
	index uint32
	done  chan struct{} // closed when data or err is there
	data  []byte
	err   error
	place *list.Element // among those that are kept; nil until it is here
}

// Open opens a file, OWNER/NAME/PATH, to be read while it is fetched. Close ends it.
func (c *Client) Open(ctx context.Context, ref string) (*Media, error) {
	_, _, below, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	if below == "" {
		return nil, fault.New(fault.Malformed, "%q is a catalog; name a file in it", ref)
	}
	listing, share, err := c.list(ctx, ref)
	if err != nil {
		return nil, err
	}
	entry := listing.Entries[0]
	if entry.Path != below {
		return nil, fault.New(fault.Malformed, "%q is a folder; name a file in it", ref)
	}
	m := newMedia(c, share, entry)
	if m.pulls.pull, err = m.pulls.source.openSized(ctx, entry.Size); err != nil {
		m.stop()
		return nil, c.whyGone(ctx, share, err)
	}
	return m, nil
}

func newMedia(c *Client, share *InboxItem, entry seal.Entry) *Media {
	m := &Media{
		Name: path.Base(entry.Path), Entry: entry, c: c, share: share,
		slots: make(chan struct{}, readsAtOnce), blocks: make(map[uint32]*mediaBlock), kept: list.New(),
	}
	m.pulls = &download{source: &source{c: c, share: share, entry: entry.Path, root: entry.Root}, take: m.take}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// Close ends what is under way, and the transfer. Readers fail from then on.
func (m *Media) Close() {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	m.under.Wait()
	m.pulls.current().close()
}

// block waits for a block. It is asked for unless it is here or under way, and so are those
// ahead of it.
func (m *Media) block(ctx context.Context, index, ahead uint32) ([]byte, error) {
	for {
		one, err := m.want(ctx, index, ahead)
		if err != nil {
			return nil, err
		}
		select {
		case <-one.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !errors.Is(one.err, errLeft) {
			return one.data, one.err
		}
	}
}

// want asks for what is missing, several blocks in a read: of what lies ahead, only when
// there is enough to ask for.
func (m *Media) want(ctx context.Context, index, ahead uint32) (*mediaBlock, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.ctx.Err(), ctx.Err()); err != nil {
		return nil, err
	}
	one, here := m.blocks[index]
	if here && one.place != nil {
		m.kept.MoveToFront(one.place)
	}
	end := min(seal.Blocks(m.Entry.Size), int64(index)+int64(ahead)+1)
	var missing []uint32
	for next := int64(index); next < end; next++ {
		if m.blocks[uint32(next)] == nil { //nolint:gosec // a content has fewer blocks than 2³²
			missing = append(missing, uint32(next)) //nolint:gosec // as above
		}
	}
	if here && len(missing) < blocksPerRead && end < seal.Blocks(m.Entry.Size) {
		return one, nil
	}
	for chunk := range slices.Chunk(missing, blocksPerRead) {
		asked := m.ask(chunk)
		m.under.Go(func() { m.fetch(ctx, asked) })
	}
	return m.blocks[index], nil
}

func (m *Media) ask(indexes []uint32) []*mediaBlock {
	asked := make([]*mediaBlock, len(indexes))
	for i, index := range indexes {
		asked[i] = &mediaBlock{index: index, done: make(chan struct{})}
		m.blocks[index] = asked[i]
	}
	return asked
}

// fetch pulls blocks that were asked for, until the reader who asked goes elsewhere.
func (m *Media) fetch(ctx context.Context, asked []*mediaBlock) {
	err := m.pullAll(ctx, asked)
	if ctx.Err() != nil {
		err = errLeft
	} else if err != nil {
		err = m.explain(ctx, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range asked {
		if one.place == nil {
			one.err = err
			delete(m.blocks, one.index)
			close(one.done)
		}
	}
}

func (m *Media) pullAll(ctx context.Context, asked []*mediaBlock) error {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	in, err := m.c.inboxes.take()
	if err != nil {
		return err
	}
	defer m.c.inboxes.give(in)
	indexes := make([]uint32, len(asked))
	for i, one := range asked {
		indexes[i] = one.index
	}
	return m.pulls.fetch(ctx, in, indexes)
}

// take keeps a verified block, and drops the one that nobody has used for longest.
func (m *Media) take(index uint32, data []byte) error {
	if len(data) != seal.BlockLen(m.Entry.Size, index) {
		return seal.ErrBlock
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.blocks[index]
	if one == nil || one.place != nil {
		return nil // somebody else was faster
	}
	one.data = data
	one.place = m.kept.PushFront(one)
	close(one.done)
	if m.kept.Len() > mediaKept {
		oldest, _ := m.kept.Remove(m.kept.Back()).(*mediaBlock)
		delete(m.blocks, oldest.index)
	}
	return nil
}

func (m *Media) explain(ctx context.Context, err error) error {
	if errors.Is(err, seal.ErrBlock) {
		return fault.Wrap(fault.Refused, err, "what %s sent is not the file %q that was listed; nothing of it was used", m.share.From, m.Entry.Path)
	}
	return m.c.whyGone(ctx, m.share, m.pulls.source.explain(err))
}
