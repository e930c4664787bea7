package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Stream is the name of the stream.
const Stream = "AUDIT"

// What the stream keeps where Options do not say.
const (
	DefaultMaxAge   = 90 * 24 * time.Hour
	DefaultMaxBytes = 1 << 30
)

const (
	defaultWait = 8192 // entries in memory
	maxTogether = 256  // entries under one signature
	linger      = 100 * time.Millisecond
	ackTime     = 5 * time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 5 * time.Second
)

// Identity signs the entries.
type Identity struct {
	Seed  []byte // SU…, of the callout's user
	Token string // its user JWT and, where a signing key issued it, behind a space the account's
}

// Options say where entries go. All but Conn and Identity may be zero.
type Options struct {
	// Conn is a connection in the account that has the stream; it stays the caller's. Its user
	// publishes to audit.> and uses the JetStream API.
	Conn     *nats.Conn
	Identity Identity

	MaxAge   time.Duration // of an entry in the stream
	MaxBytes int64         // of the stream
	Replicas int           // of the stream; 1
	Waiting  int           // how many entries are kept in memory until NATS takes them; 8192

	// Lines get the entries, unsigned, where the account has no JetStream; os.Stderr.
	Lines  io.Writer
	Logger *slog.Logger
}

// Log writes entries until it is closed.
type Log struct {
	o       Options
	js      jetstream.JetStream // nil: lines
	device  *trust.KeyPair
	account trust.PublicKey
	ctx     context.Context // ends all work
	cancel  context.CancelFunc
	waiting chan item
	closing chan struct{} // no more entries come
	ended   chan struct{}
	once    sync.Once

	condenser condenser

	lost atomic.Int64 // since the start
	mu   sync.Mutex
	gap  Gap // not written yet; Lost 0: none
}

// item is an entry that waits.
type item struct {
	at       time.Time
	decision *callout.Decision
	closed   *Closed
	more     int // decisions like it that have no entry
}

// Start opens the stream and begins to write. Where the account has no JetStream it warns,
// and writes lines.
func Start(ctx context.Context, o Options) (*Log, error) {
	o = o.withDefaults()
	l := &Log{o: o, waiting: make(chan item, o.Waiting), closing: make(chan struct{}), ended: make(chan struct{})}
	l.condenser.runs = make(map[runKey]*run)
	if err := l.identify(o.Identity); err != nil {
		return nil, err
	}
	js, err := jetstream.New(o.Conn, jetstream.WithPublishAsyncMaxPending(2*maxTogether))
	if err != nil {
		return nil, fmt.Errorf("open the audit: %w", err)
	}
	switch err := l.openStream(ctx, js); {
	case err == nil:
		l.js = js
	case noJetStream(err):
		o.Logger.Warn("the account has no JetStream: the audit is lines of JSON, which nobody signs", "error", err)
	default:
		return nil, fmt.Errorf("open the audit: %w", err)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	go l.run()
	return l, nil
}

func (o Options) withDefaults() Options {
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Waiting == 0 {
		o.Waiting = defaultWait
	}
	if o.Lines == nil {
		o.Lines = os.Stderr
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (l *Log) identify(who Identity) error {
	var err error
	if l.device, err = trust.ParseSeed(trust.Device, who.Seed); err != nil {
		return errors.New("open the audit: the callout's user has no seed")
	}
	userToken, _, _ := strings.Cut(who.Token, " ")
	claims, err := jwt.DecodeUserClaims(userToken)
	if err != nil || claims.Subject != l.device.String() {
		return errors.New("open the audit: the callout's token is not that of its seed")
	}
	issuer := claims.Issuer
	if claims.IssuerAccount != "" {
		issuer = claims.IssuerAccount
	}
	l.account, err = trust.ParsePublicKey(trust.Account, issuer)
	return err
}

// Signed reports whether entries go to a stream, signed, and not to lines.
func (l *Log) Signed() bool { return l.js != nil }

// Lost is how many entries were lost since the start.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Decided writes a decision down. It never waits. It fits callout.Config.Decided.
func (l *Log) Decided(d callout.Decision) {
	at := time.Now()
	if write, more := l.condenser.take(&d, at); write {
		l.take(item{at: at, decision: &d, more: more})
	}
}

// Closed writes down that connections were closed. It never waits.
func (l *Log) Closed(c Closed) {
	c.bound()
	l.take(item{at: time.Now(), closed: &c})
}

func (l *Log) take(i item) {
	select {
	case <-l.closing:
		l.lose(i)
		return
	default:
	}
	select {
	case l.waiting <- i:
	default:
		l.lose(i)
	}
}

// lose notes an entry that will not be written.
func (l *Log) lose(i item) {
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gap.Lost == 0 {
		l.gap.From = i.at.UTC().Truncate(time.Millisecond)
		l.o.Logger.Error("entries of the audit are being lost: more come than NATS takes")
	}
	l.gap.Lost++
	l.gap.To = i.at.UTC().Truncate(time.Millisecond)
}

// takeGap is the hole that was not written yet, nil for none.
func (l *Log) takeGap() *Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gap.Lost == 0 {
		return nil
	}
	gap := l.gap
	l.gap = Gap{}
	return &gap
}

// Close writes what waits, for as long as ctx lasts, and stops. Entries that come later, or
// that NATS did not take by then, are lost and logged.
func (l *Log) Close(ctx context.Context) error {
	l.once.Do(func() { close(l.closing) })
	select {
	case <-l.ended:
	case <-ctx.Done():
		l.cancel()
		<-l.ended
	}
	l.cancel()
	for left, _ := l.rest(); len(left) > 0; left, _ = l.rest() {
		for _, i := range left {
			l.lose(i)
		}
	}
	if gap := l.takeGap(); gap != nil {
		l.o.Logger.Error("entries of the audit were lost", "lost", gap.Lost, "from", gap.From, "to", gap.To)
		return fault.New(fault.Unavailable, "%d entries of the audit of logins were lost: the servers did not take them in time", gap.Lost)
	}
	return nil
}

// run writes until there is nothing more to write.
func (l *Log) run() {
	defer close(l.ended)
	ticker := time.NewTicker(condenseTime / 2)
	defer ticker.Stop()
	for {
		items, more := l.collect(ticker.C)
		if !more {
			items = append(items, l.condenser.ended(time.Now(), true)...)
		}
		for len(items) > 0 { // a signature covers only so many
			part := items[:min(len(items), maxTogether)]
			items = items[len(part):]
			l.write(part)
		}
		if !more {
			return
		}
	}
}

// collect waits for an entry and for those that come a little later.
func (l *Log) collect(tick <-chan time.Time) (items []item, more bool) {
	select {
	case i := <-l.waiting:
		items = append(items, i)
	case now := <-tick:
		return l.condenser.ended(now, false), true
	case <-l.closing:
		return l.rest()
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(items) < maxTogether {
		select {
		case i := <-l.waiting:
			items = append(items, i)
		case <-timer.C:
			return items, true
		case <-l.closing:
			return items, true
		}
	}
	return items, true
}

// rest is what still waits after the end.
func (l *Log) rest() (items []item, more bool) {
	for len(items) < maxTogether {
		select {
		case i := <-l.waiting:
			items = append(items, i)
		default:
			return items, false
		}
	}
	return items, true
}

// write writes entries, and the gap before them if there is one.
func (l *Log) write(items []item) {
	gap := l.takeGap()
	events, err := l.events(items, gap)
	if err == nil && l.js == nil {
		err = l.writeLines(events)
	} else if err == nil {
		err = l.store(events)
	}
	if err == nil {
		return
	}
	l.o.Logger.Error("entries of the audit are lost", "entries", len(items), "error", err)
	l.lost.Add(int64(len(items)))
	l.restore(items, gap)
}

// restore notes the loss of entries that were given up, and of the gap before them.
func (l *Log) restore(items []item, gap *Gap) {
	lost := Gap{Lost: int64(len(items)), From: items[0].at.UTC().Truncate(time.Millisecond), To: items[len(items)-1].at.UTC().Truncate(time.Millisecond)}
	if gap != nil {
		lost.Lost, lost.From = lost.Lost+gap.Lost, gap.From
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gap.Lost > 0 {
		lost.Lost, lost.To = lost.Lost+l.gap.Lost, l.gap.To
	}
	l.gap = lost
}
