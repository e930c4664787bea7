package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	natslogin "keyhall.dev/keyhall/login"
)

const (
	publishTime  = 5 * time.Second
	publishTries = 3
	headsSoon    = time.Second      // heads are compared this long after a connect
	headsEvery   = 30 * time.Second // and then at this interval
	feedBuffer   = 256              // messages that wait for a slow consumer
	beyond       = 1 << 62          // above every sequence

	enterTries  = 5                      // to log in, when a session begins
	enterWait   = 500 * time.Millisecond // between two of them, and
	enterJitter = 2 * time.Second        // up to so much more
)

// ErrNotInRoom is the error of a room that the member is not in, or not any more.
var ErrNotInRoom = errors.New("not in the room")

// Session is a live connection to some rooms: messages as they come, none lost and none
// twice, and a way to say something.
type Session struct {
	c        *Client
	outages  *outages  // of the connection
	standing *standing // of the connection
	messages chan Message
	problems chan error
	soon     chan struct{} // asks for heads to be compared before long
	came     chan struct{} // somebody came of whom nobody had heard

	ctx     context.Context //nolint:containedctx // ends with the session, which outlives its making
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	closing sync.Once

	user  string           // what the callout is told
	feeds map[string]*feed // by room id

	delivery sync.Mutex // held while a message is handed over, and when the channel closes

	mu      sync.Mutex
	link    *link
	waiting map[string]context.CancelCauseFunc
}

// link is a connection of a session, which is replaced before the server ends it.
type link struct {
	*nats.Conn
	users sync.WaitGroup // those who wait for an answer on it
}

// feed is one room of a session.
type feed struct {
	room  *Room
	ready chan struct{} // closed when past and known are set

	mu    sync.Mutex
	known uint64      // newest sequence that was handled
	began uint64      // newest sequence when the session began
	shown uint64      // newest sequence of a message that was handed over
	past  []api.Entry // to be shown first

	given map[string]bool // messages that were handed over, by author and id

	present presences
}

// Enter connects to rooms, by name or id, and shows up to backlog of each room's newest
// messages first. The others there see that the member is present.
func (c *Client) Enter(ctx context.Context, backlog int, rooms ...string) (*Session, error) {
	s, err := c.enter(ctx, backlog, rooms...)
	if err == nil {
		s.tasks.Go(s.beHere)
	}
	return s, err
}

// enter is Enter without being seen.
func (c *Client) enter(ctx context.Context, backlog int, rooms ...string) (*Session, error) {
	s := &Session{
		c: c, messages: make(chan Message, feedBuffer), problems: make(chan error, feedBuffer), soon: make(chan struct{}, 1),
		came: make(chan struct{}, 1), feeds: make(map[string]*feed), waiting: make(map[string]context.CancelCauseFunc), outages: newOutages(),
		standing: newStanding(c.putOut),
	}
	var ids []string
	for _, name := range rooms {
		room, err := c.findRoom(ctx, name)
		if err != nil {
			return nil, err
		}
		s.feeds[room.ID] = &feed{room: room, ready: make(chan struct{}), given: make(map[string]bool)}
		ids = append(ids, room.ID)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.user = "rooms " + c.profile.device.String() + " " + strings.Join(ids, ",")
	nc, err := s.connect(ctx)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.link = &link{Conn: nc}
	if err := s.subscribe(ctx, backlog); err != nil {
		s.Close()
		return nil, err
	}
	s.tasks.Go(s.renew)
	context.AfterFunc(s.standing.ctx, func() { s.problem(s.standing.reason()) })
	return s, nil
}

// connect makes a connection to the session's rooms. A callout that is starting refuses
// everybody: whom nothing else speaks against tries again.
func (s *Session) connect(ctx context.Context) (nc *nats.Conn, err error) {
	for range enterTries {
		nc, err = dial(ctx, s.c.at, s.c.profile.Settings.URL, login{
			name: "keyhall rooms " + s.c.profile.Settings.Device, user: s.user,
			jwt: s.c.at.document.Sentinel, key: s.c.profile.device,
			options: []nats.Option{
				s.outages.option(),
				nats.ErrorHandler(s.asyncError),
				nats.ReconnectHandler(func(*nats.Conn) { s.compareHeads() }),
			},
			persistence: s.standing.persistence(),
		})
		if err == nil || !natslogin.IsRefusal(err) {
			return nc, err
		}
		if reason := s.c.putOut(ctx, 0); reason != nil {
			return nil, reason
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(enterWait + rand.N(enterJitter)):
		}
	}
	return nil, err
}

// subscribe listens before it reads the past, so that nothing falls between: what comes
// live waits until the past was handed over.
func (s *Session) subscribe(ctx context.Context, backlog int) error {
	var err error
	for id, f := range s.feeds {
		f.mu.Lock()
		if subErr := s.listen(s.link.Conn, id, f); subErr != nil {
			err = subErr
		}
		s.tasks.Go(func() {
			defer f.mu.Unlock()
			<-f.ready
			known := f.known
			s.show(f, f.past, false)
			f.known, f.past = known, nil
		})
	}
	if flushErr := s.link.FlushTimeout(publishTime); flushErr != nil && err == nil {
		err = fault.Wrap(fault.Unavailable, flushErr, "the hub's rooms do not answer: %v", flushErr)
	}
	for _, f := range s.feeds {
		if err == nil {
			err = s.readPast(ctx, f, backlog)
		}
		close(f.ready)
	}
	if err == nil {
		s.tasks.Go(s.watchHeads)
	}
	return err
}

func (s *Session) listen(nc *nats.Conn, id string, f *feed) error {
	if _, err := nc.Subscribe("feed."+id, func(msg *nats.Msg) { s.receive(f, msg) }); err != nil {
		return fmt.Errorf("subscribe to room: %w", err)
	}
	if _, err := nc.Subscribe("room."+id+".live.*", func(msg *nats.Msg) { s.receiveLive(f, msg) }); err != nil {
		return fmt.Errorf("subscribe to presence: %w", err)
	}
	return nil
}

// readPast fetches a room's newest messages.
func (s *Session) readPast(ctx context.Context, f *feed, backlog int) error {
	var history api.History
	request := api.HistoryRequest{Room: f.room.ID, Last: true, Limit: backlog}
	if backlog == 0 {
		request = api.HistoryRequest{Room: f.room.ID, After: beyond} // only how far the room is
	}
	if err := s.c.call(ctx, "rooms.history", request, &history); err != nil {
		return err
	}
	if err := checkHistory(f.room.Room, request, &history); err != nil {
		return err
	}
	f.known, f.began = history.Last, history.Last
	if backlog > 0 {
		f.past = history.Messages
	}
	return nil
}

// Messages are the verified messages of the session's rooms. Receive until it is closed.
func (s *Session) Messages() <-chan Message { return s.messages }

// Problems are what went wrong while receiving: messages that do not verify, a room that
// the member was put out of (ErrNotInRoom), the end of the session because the device may
// not come back (ErrTurnedAway). Those nobody receives are dropped.
func (s *Session) Problems() <-chan error { return s.problems }

// Close ends the session.
func (s *Session) Close() {
	s.cancel()
	s.standing.end()
	s.tasks.Wait()
	s.link.Close()
	for _, f := range s.feeds {
		f.mu.Lock() // a delivery in progress ends with the context
		s.saveRead(f)
		f.mu.Unlock()
	}
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.closing.Do(func() { close(s.messages) })
}

// deliver hands a message over; false when the session ends.
func (s *Session) deliver(message *Message) bool {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	select {
	case s.messages <- *message:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *Session) saveRead(f *feed) {
	s.c.rooms.mu.Lock()
	defer s.c.rooms.mu.Unlock()
	known, err := s.c.rooms.load(f.room.ID)
	if err != nil || known.Room.Seq == 0 {
		return
	}
	known.Read = max(known.Read, f.known)
	_ = s.c.rooms.save(f.room.ID, known) // losing it shows messages as unread, no more
}

func (s *Session) problem(err error) {
	if err == nil {
		return
	}
	select {
	case s.problems <- err:
	default:
	}
}

// receive handles a message of the feed. Sequences are the server's: a message in which
// one stands twice has one that its publisher put there, and is discarded.
func (s *Session) receive(f *feed, msg *nats.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq, last, ok := sequences(msg.Header)
	switch {
	case !ok || seq <= f.known:
	case last == f.known:
		s.show(f, []api.Entry{{Seq: seq, Time: time.Now(), Event: msg.Data}}, true)
	default:
		s.catchUp(f)
	}
}

func sequences(header nats.Header) (seq, last uint64, ok bool) {
	seq, ok = single(header, "Nats-Sequence")
	if !ok {
		return 0, 0, false
	}
	last, ok = single(header, "Nats-Last-Sequence")
	return seq, last, ok
}

func single(header nats.Header, name string) (uint64, bool) {
	values := header[name]
	if len(values) != 1 {
		return 0, false
	}
	number, err := strconv.ParseUint(values[0], 10, 64)
	return number, err == nil
}

// catchUp fetches everything above what is known; f.mu is held.
func (s *Session) catchUp(f *feed) {
	for {
		var history api.History
		request := api.HistoryRequest{Room: f.room.ID, After: f.known}
		if err := s.c.call(s.ctx, "rooms.history", request, &history); err != nil {
			if s.ctx.Err() == nil {
				s.problem(s.historyError(f, err))
				s.again(err)
			}
			return
		}
		if err := checkHistory(f.room.Room, request, &history); err != nil {
			s.problem(err)
			return
		}
		if history.Last < f.known {
			s.goBack(f, history.Last)
			if f.known == history.Last {
				return
			}
			continue
		}
		if !s.show(f, history.Messages, true) {
			return
		}
		f.known = max(f.known, history.Through)
		switch {
		case f.known >= history.Last:
			return
		case f.known == request.After:
			s.problem(notWhole("of messages in "+f.room.Room, f.known, history.Last))
			return
		}
	}
}

// goBack is for a room that ends before what is known of it. What was handled beyond its end
// and not shown was no message, and may have been cleared away; messages do not go. Either
// way it goes on from what there is: nothing is shown twice. f.mu is held.
func (s *Session) goBack(f *feed, last uint64) {
	if last < f.shown {
		s.problem(fault.Wrap(fault.Refused, ErrFork,
			"the hub shows less of %s than before (up to message %d, and %d was shown); do not trust it", f.room.Room, last, f.shown))
		f.shown = 0
	}
	f.known = min(last, max(f.began, f.shown))
}

func (s *Session) historyError(f *feed, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Wrap(fault.Refused, ErrNotInRoom, "you are not in %s any more", f.room.Room)
	}
	return err
}

// show verifies messages and passes them on, as far as it gets: false if one could not be
// verified because the hub does not answer. It is not passed over, and asked for again.
// f.mu is held.
func (s *Session) show(f *feed, entries []api.Entry, live bool) bool {
	for _, entry := range entries {
		message, err := s.open(f, entry, live)
		switch {
		case s.ctx.Err() != nil:
			return false
		case err == nil && f.given[message.Author+" "+message.ID]:
		case err == nil:
			if !s.deliver(message) {
				return false
			}
			f.given[message.Author+" "+message.ID] = true
			f.shown = max(f.shown, entry.Seq)
		case fault.Is(err, fault.Unavailable):
			s.problem(fmt.Errorf("message %d in %s: %w", entry.Seq, f.room.Room, err))
			s.again(err)
			return false
		case !errors.Is(err, errDuplicate) && !errors.Is(err, event.ErrMalformed):
			s.problem(fmt.Errorf("message %d in %s: %w", entry.Seq, f.room.Room, err))
		} // the other two nobody said: it was said before, or it is no message at all
		f.known = max(f.known, entry.Seq)
	}
	return true
}

// again has heads compared before long, after the hub did not answer.
func (s *Session) again(err error) {
	if !fault.Is(err, fault.Unavailable) {
		return
	}
	select {
	case s.soon <- struct{}{}:
	default:
	}
}

func (s *Session) open(f *feed, entry api.Entry, live bool) (*Message, error) {
	s.c.rooms.mu.Lock()
	defer s.c.rooms.mu.Unlock()
	known, err := s.c.rooms.load(f.room.ID)
	if err != nil {
		return nil, err
	}
	if known.Room.Seq == 0 {
		if known, err = s.c.rooms.sync(s.ctx, f.room.ID); err != nil {
			return nil, err
		}
	}
	return s.c.rooms.open(s.ctx, known, entry, live)
}

// watchHeads compares what is known with what there is: a second after the connect, then
// every half minute.
func (s *Session) watchHeads() {
	for wait := headsSoon; ; wait = headsEvery {
		select {
		case <-s.ctx.Done():
			return
		case <-s.soon:
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(headsSoon):
			}
			s.compareHeads()
		case <-time.After(wait):
			s.compareHeads()
		}
	}
}

func (s *Session) compareHeads() {
	for _, f := range s.feeds {
		f.mu.Lock()
		s.refresh(f)
		s.catchUp(f)
		f.mu.Unlock()
	}
}

// refresh brings the room's chain up to date, so that who was put out is known to be.
func (s *Session) refresh(f *feed) {
	s.c.rooms.mu.Lock()
	defer s.c.rooms.mu.Unlock()
	if _, err := s.c.rooms.sync(s.ctx, f.room.ID); err != nil && s.ctx.Err() == nil {
		s.problem(s.historyError(f, err))
	}
}
