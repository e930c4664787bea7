package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/seal"
)

// Listing is what a catalog holds, as its owner says now.
type Listing struct {
	Catalog  string       `json:"catalog"` // OWNER/NAME
	Revision uint64       `json:"revision"`
	Entries  []seal.Entry `json:"entries"`
}

// Shelf is a catalog that the member has accepted.
type Shelf struct {
	Catalog string `json:"catalog"` // OWNER/NAME
	Online  bool   `json:"online"`  // whether its owner serves it
}

// Library lists the catalogs that the member has accepted.
func (c *Client) Library(ctx context.Context) ([]Shelf, error) {
	items, err := c.Inbox(ctx)
	if err != nil {
		return nil, err
	}
	shelves := []Shelf{}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for i := range items {
		if items[i].State != api.Accepted {
			continue
		}
		name := items[i].From + "/" + items[i].Catalog
		shelves = append(shelves, Shelf{Catalog: name})
		at := len(shelves) - 1
		asked.Go(func() {
			opened, err := (&source{c: c, share: &items[i]}).open(ctx)
			if err != nil {
				return
			}
			opened.close()
			mu.Lock()
			defer mu.Unlock()
			shelves[at].Online = true
		})
	}
	asked.Wait()
	return shelves, nil
}

// List lists the entries of a catalog, OWNER/NAME, or those of OWNER/NAME/PATH and below.
func (c *Client) List(ctx context.Context, ref string) (*Listing, error) {
	listing, _, err := c.list(ctx, ref)
	return listing, err
}

func (c *Client) list(ctx context.Context, ref string) (*Listing, *InboxItem, error) {
	owner, name, path, err := parseRef(ref)
	if err != nil {
		return nil, nil, err
	}
	share, err := c.findShare(ctx, owner+"/"+name, api.Accepted)
	if err != nil {
		return nil, nil, err
	}
	whole, err := c.fetchListing(ctx, share)
	if err != nil {
		return nil, nil, c.whyGone(ctx, share, err)
	}
	if path == "" {
		return whole, share, nil
	}
	var below []seal.Entry
	for _, entry := range whole.Entries {
		if covers(path, entry.Path) {
			below = append(below, entry)
		}
	}
	if len(below) == 0 {
		return nil, nil, fault.New(fault.NotFound, "%s has no entry %q", whole.Catalog, path)
	}
	whole.Entries = below
	return whole, share, nil
}

// whyGone tells an owner who is away from one who has ended the share: both answer
// nothing, once the import is gone.
func (c *Client) whyGone(ctx context.Context, share *InboxItem, err error) error {
	if !errors.Is(err, ErrOffline) {
		return err
	}
	owner, syncErr := c.book.sync(ctx, share.owner.Account)
	if syncErr != nil || owner.Shares.Standing(share.grant, share.catalogID, c.account(), time.Now()) {
		return err
	}
	return fault.Wrap(fault.Refused, err, "%s does not share %s with you any more", share.From, share.Catalog)
}

// covers reports whether an entry is at path or in the folder path.
func covers(path, entry string) bool {
	return entry == path || (len(entry) > len(path) && entry[:len(path)] == path && entry[len(path)] == '/')
}

// fetchListing pulls the listing of a catalog into memory; it is kept nowhere.
func (c *Client) fetchListing(ctx context.Context, share *InboxItem) (*Listing, error) {
	from := &source{c: c, share: share}
	opened, err := from.open(ctx)
	if err != nil {
		return nil, err
	}
	size := opened.answer.Size
	if size > seal.MaxListing {
		opened.close()
		return nil, fault.New(fault.TooLarge, "the listing of %s is too large", from.catalog())
	}
	text := make([]byte, size)
	pulling := &download{source: from, take: func(index uint32, data []byte) error {
		copy(text[int64(index)*seal.BlockSize:], data)
		return nil
	}}
	if err := pulling.run(ctx, opened, allBlocks(size)); err != nil {
		return nil, err
	}
	return parseListing(from.catalog(), text)
}

func allBlocks(size int64) []uint32 {
	indexes := make([]uint32, seal.Blocks(size))
	for i := range indexes {
		indexes[i] = uint32(i) //nolint:gosec // a content has fewer blocks than 2³²
	}
	return indexes
}

func parseListing(catalog string, text []byte) (*Listing, error) {
	lines, err := seal.NewListingReader(bytes.NewReader(text))
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the listing of %s is malformed", catalog)
	}
	listing := &Listing{Catalog: catalog, Revision: lines.Header().Revision, Entries: []seal.Entry{}}
	for {
		entry, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return listing, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "the listing of %s is malformed", catalog)
		}
		listing.Entries = append(listing.Entries, entry)
	}
}
