package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// The bounds of serving.
const (
	opensPerSecond  = 500 // of one account, on average
	opensAtOnce     = 1000
	openWorkers     = 8
	readWorkers     = 8
	queued          = 1024 // messages that wait for a worker
	rescanEvery     = 30 * time.Second
	lookEvery       = time.Second // for catalogs that were added
	flushBeforeExit = 2 * time.Second
)

// ServeReport says how one open was answered.
type ServeReport struct {
	Catalog string `json:"catalog"`
	Reader  string `json:"reader"` // account
	Path    string `json:"path"`   // empty for the listing
	Outcome string `json:"outcome"`
}

// server serves catalogs to those with whom they are shared, by the member's own signed
// grants alone.
type server struct {
	c         *Client
	node      string // id of this serving program
	report    func(ServeReport)
	all       bool // whether catalogs that are added later are served as well
	opens     chan *nats.Msg
	reads     chan *nats.Msg
	rights    *rights
	transfers *transfers
	buffers   *sync.Pool // of block messages

	mu       sync.Mutex
	catalogs map[string]*served // by catalog id
	subs     []*nats.Subscription
	answered map[[32]byte]time.Time // opens that were answered, until they expire
	limits   map[string]*rate.Limiter
}

// served is a catalog that is being served.
type served struct {
	file catalogFile
	root *os.Root

	mu      sync.Mutex
	index   *folder.Index
	stamp   fs.FileInfo // of the index file that was loaded
	listing *memoryContent
}

// Serve serves the named catalogs, or all of them, until ctx ends. report, if not nil, is
// called for every open that was answered, by one goroutine at a time.
func (c *Client) Serve(ctx context.Context, names []string, report func(ServeReport)) error {
	return c.ServeReady(ctx, names, func() {}, report)
}

// ServeReady is Serve for those who want to know from when on the catalogs can be
// reached: ready is called once then.
func (c *Client) ServeReady(ctx context.Context, names []string, ready func(), report func(ServeReport)) error {
	s := &server{
		c: c, node: trust.NewID(), report: report, all: len(names) == 0, catalogs: make(map[string]*served),
		opens: make(chan *nats.Msg, queued), reads: make(chan *nats.Msg, queued),
		answered: make(map[[32]byte]time.Time), limits: make(map[string]*rate.Limiter),
		transfers: newTransfers(), buffers: newBlockBuffers(),
	}
	own, err := c.me(ctx)
	if err != nil {
		return err
	}
	s.rights = newRights(own)
	files, err := s.wanted(names)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fault.New(fault.NotFound, "you have no catalogs to serve; keyhall catalog add makes one")
	}
	defer s.close()
	return s.run(ctx, files, ready)
}

// wanted are the catalogs to serve.
func (s *server) wanted(names []string) ([]catalogFile, error) {
	if len(names) == 0 {
		return s.c.profile.catalogFiles()
	}
	var files []catalogFile
	for _, name := range names {
		file, err := s.c.profile.catalog(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// add begins to serve a catalog.
func (s *server) add(file catalogFile) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalogs[file.ID] != nil {
		return nil
	}
	if err := s.c.profile.checkCatalogDir(file.Dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(file.Dir)
	if err != nil {
		return scanError(file, err)
	}
	s.catalogs[file.ID] = &served{file: file, root: root}
	open, err := s.c.nc.ChanQueueSubscribe("catalog.*."+file.ID+".open", "serve", s.opens)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	read, err := s.c.nc.ChanSubscribe("catalog.*."+file.ID+".read."+s.node, s.reads)
	if err != nil {
		return errors.Join(fmt.Errorf("serve: %w", err), open.Unsubscribe())
	}
	s.subs = append(s.subs, open, read)
	return nil
}

// catalog is a catalog that is served; nil for another.
func (s *server) catalog(id string) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalogs[id]
}

func (s *server) served() []*served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.catalogs))
}

func (s *server) close() {
	for _, one := range s.served() {
		_ = one.root.Close()
	}
	s.transfers.closeAll()
}

// run answers until ctx ends. Opens and reads have workers of their own, so that neither
// keeps the other waiting.
func (s *server) run(ctx context.Context, files []catalogFile, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(s.c.standing.ctx, cancel) // nobody reaches us any more
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range openWorkers {
		workers.Go(func() { work(stop, s.opens, func(m *nats.Msg) { s.open(ctx, m) }) })
	}
	for range readWorkers {
		workers.Go(func() { work(stop, s.reads, s.read) })
	}
	workers.Go(func() { s.rescan(ctx) })
	workers.Go(func() { s.transfers.expire(ctx) })
	defer workers.Wait()
	defer close(stop)
	defer cancel()

	err := s.subscribe(ctx, files)
	if err == nil {
		ready()
		s.watchCatalogs(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		_ = sub.Unsubscribe() // from here on nobody is told that we are here
	}
	_ = s.c.nc.FlushTimeout(flushBeforeExit)
	if err == nil {
		err = s.c.Err()
	}
	return err
}

func work(stop <-chan struct{}, messages <-chan *nats.Msg, do func(*nats.Msg)) {
	for {
		select {
		case <-stop:
			return
		case msg := <-messages:
			do(msg)
		}
	}
}

func (s *server) subscribe(ctx context.Context, files []catalogFile) error {
	own, err := s.c.nc.Subscribe(ownChain, func(m *nats.Msg) { s.ownEvent(ctx, m) })
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s.subs = append(s.subs, own)
	for _, file := range files {
		if err = s.add(file); err != nil && !s.all {
			return err
		}
	}
	if len(s.served()) == 0 {
		return err
	}
	return s.c.nc.FlushTimeout(openTime)
}

// watchCatalogs serves catalogs that are added while others are served, until ctx ends.
func (s *server) watchCatalogs(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !s.all {
			continue
		}
		files, err := s.c.profile.catalogFiles()
		if err != nil {
			continue // a file that is being written is read the next time
		}
		for _, file := range files {
			_ = s.add(file) // a folder that is away may come back
		}
	}
}

// ownEvent takes notice of what the member just did with another program: the end of a
// share counts at once, the rest when the hub's ledger has it.
func (s *server) ownEvent(ctx context.Context, msg *nats.Msg) {
	ev, err := event.Decode(msg.Data)
	if err != nil || ev.Check() != nil || ev.Author.Text(trust.Account) != s.c.account() {
		return
	}
	judge := func(own *chain.Person) error { return own.Vouches(ev) }
	if s.c.book.vouch(ctx, ev, judge) != nil {
		return
	}
	if ev.Type == chain.Revoke {
		if body, err := chain.Parse[chain.RevokeBody](ev); err == nil {
			s.rights.end(body.Grant)
		}
	}
	s.refreshRights(ctx)
}

// refreshRights brings the member's own grants up to date; when the hub does not answer,
// what is known stays good.
func (s *server) refreshRights(ctx context.Context) {
	if own, err := s.c.me(ctx); err == nil {
		s.rights.update(own)
	}
}

// rescan looks for changes in the folders from time to time.
func (s *server) rescan(ctx context.Context) {
	for {
		for _, one := range s.served() {
			if ctx.Err() == nil {
				_, _ = s.c.profile.scan(ctx, one.file, nil) // the next open says what is wrong
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rescanEvery):
		}
	}
}

// current is the catalog's newest index, whoever scanned it.
func (v *served) current(p *Profile) (*folder.Index, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	stamp, err := os.Stat(p.indexPath(v.file.ID))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if v.stamp != nil && os.SameFile(stamp, v.stamp) && stamp.ModTime().Equal(v.stamp.ModTime()) {
		return v.index, nil
	}
	index, err := folder.Load(p.indexPath(v.file.ID))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	v.index, v.stamp, v.listing = index, stamp, nil
	return index, nil
}

// list is the content of the catalog's listing.
func (v *served) list(p *Profile) (*memoryContent, error) {
	index, err := v.current(p)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.listing == nil || v.index != index {
		text, err := index.Listing(v.file.Name)
		if err != nil {
			return nil, err
		}
		content, err := newMemoryContent(text)
		if err != nil {
			return nil, err
		}
		if v.index != index {
			return content, nil
		}
		v.listing = content
	}
	return v.listing, nil
}

// content opens what a request asks for.
func (s *server) content(v *served, request seal.Request) (content, *seal.Reason) {
	if v == nil {
		return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the catalog is not served here"}
	}
	if request.Entry == "" {
		listing, err := v.list(s.c.profile)
		if err != nil {
			return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the catalog cannot be listed at the moment"}
		}
		return listing, nil
	}
	index, err := v.current(s.c.profile)
	if err != nil {
		return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the catalog cannot be read at the moment"}
	}
	entry, found := index.Lookup(request.Entry)
	if !found {
		return nil, &seal.Reason{Code: seal.CodeNotFound, Message: "the catalog has no such entry"}
	}
	if !request.Root.IsZero() && request.Root != entry.Root {
		return nil, &seal.Reason{Code: seal.CodeChanged, Message: "the file is not the one that was listed"}
	}
	tree, err := index.Tree(request.Entry)
	if err != nil {
		return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the catalog has to be scanned anew"}
	}
	file, err := folder.Open(v.root, entry)
	switch {
	case errors.Is(err, folder.ErrChanged), errors.Is(err, fs.ErrNotExist):
		return nil, &seal.Reason{Code: seal.CodeChanged, Message: "the file has changed since it was listed"}
	case err != nil:
		return nil, &seal.Reason{Code: seal.CodeUnavailable, Message: "the file cannot be read at the moment"}
	}
	return &fileContent{file: file, tree: tree, size: entry.Size}, nil
}

// allowed counts an open against the reader's rate.
func (s *server) allowed(reader string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.limits[reader]
	if limit == nil {
		limit = rate.NewLimiter(opensPerSecond, opensAtOnce)
		s.limits[reader] = limit
	}
	return limit.Allow()
}

// first reports whether an open comes for the first time, and forgets those that can't
// come again.
func (s *server) first(id [32]byte, notAfter time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.answered) > 4*opensAtOnce {
		for old, until := range s.answered {
			if now.After(until) {
				delete(s.answered, old)
			}
		}
	}
	if _, seen := s.answered[id]; seen {
		return false
	}
	s.answered[id] = notAfter.Add(trust.ClockSkew)
	return true
}

// tokens splits an owner-side subject: the reader's account and the catalog.
func tokens(subject string) (reader, catalog string) {
	parts := strings.Split(subject, ".")
	if len(parts) < 4 {
		return "", ""
	}
	return parts[1], parts[2]
}
