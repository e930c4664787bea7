package client

import (
	"context"
	"io"
	"io/fs"

	"keyhall.dev/keyhall/seal"
)

// MediaReader reads a Media in order, from where it was last told to seek. What lies ahead
// of it is asked for the further, the longer it goes on in order. It is for one goroutine.
type MediaReader struct {
	media *Media
	ctx   context.Context //nolint:containedctx // a reader has no other way to be told
	end   context.CancelFunc
	at    int64

	run   context.Context //nolint:containedctx // of what was asked for since the last seek
	leave context.CancelFunc
	ahead uint32
	index uint32 // of data
	data  []byte // the block that is being read; nil for none
}

var _ io.ReadSeekCloser = (*MediaReader)(nil)

// Reader reads from the beginning, until ctx ends.
func (m *Media) Reader(ctx context.Context) *MediaReader {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(m.ctx, cancel)
	r := &MediaReader{media: m, ctx: ctx, end: func() { stop(); cancel() }}
	r.start()
	return r
}

// start begins to read somewhere: a reader who has just come often wants little.
func (r *MediaReader) start() {
	r.run, r.leave = context.WithCancel(r.ctx)
	r.ahead, r.data = 1, nil
}

// Read implements io.Reader. It gives at most what is left of a block.
func (r *MediaReader) Read(p []byte) (int, error) {
	if r.at >= r.media.Entry.Size {
		return 0, io.EOF
	}
	if err := r.load(uint32(r.at / seal.BlockSize)); err != nil { //nolint:gosec // a content has fewer blocks than 2³²
		return 0, err
	}
	n := copy(p, r.data[r.at%seal.BlockSize:])
	r.at += int64(n)
	return n, nil
}

// load makes a block the one that is being read.
func (r *MediaReader) load(index uint32) error {
	if r.data != nil && r.index == index {
		return nil
	}
	if r.data != nil {
		r.ahead = min(2*r.ahead, mediaAhead)
	}
	data, err := r.media.block(r.run, index, r.ahead)
	if err != nil {
		return err
	}
	r.index, r.data = index, data
	return nil
}

// Seek implements io.Seeker. What was asked for and lies elsewhere now is given up.
func (r *MediaReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.media.Entry.Size
	case io.SeekStart:
	default:
		return 0, fs.ErrInvalid
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	r.at = offset
	if first := int64(r.index) * seal.BlockSize; r.data != nil && (offset < first || offset > first+int64(r.ahead)*seal.BlockSize) {
		r.leave()
		r.start()
	}
	return offset, nil
}

// Close gives up what was asked for.
func (r *MediaReader) Close() error {
	r.leave()
	r.end()
	return nil
}
