package hall_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/shares"
	"keyhall.dev/keyhall/trust"
)

const randomOperations = 2000

// books is a ledger on a real server, with the hub's projections and nothing else.
type books struct {
	ledger      *ledger.Ledger
	hub         *trust.Hub
	projections *ledger.Projections
	changed     bool // whether the shares are folded in another way
	js          jetstream.JetStream
	life        context.Context
	author      *author
}

func openBooks(t *testing.T) *books {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Options{DataDir: filepath.Join(t.TempDir(), "hub"), NATS: "127.0.0.1:-1"})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	nc, err := server.Connect(server.Keys().HubUser)
	must(t, err)
	t.Cleanup(nc.Close)
	b := &books{}
	b.hub, err = trust.ParseHub(server.Keys().OperatorJWT)
	must(t, err)
	b.ledger, err = ledger.Open(t.Context(), nc, 1)
	must(t, err)
	b.js, err = jetstream.New(nc)
	must(t, err)
	peopleView, err := people.OpenView(t.Context(), b.ledger)
	must(t, err)
	sharesView, err := shares.OpenView(t.Context(), b.ledger)
	must(t, err)
	roomsView, err := rooms.OpenView(t.Context(), b.ledger)
	must(t, err)
	life, cancel := context.WithCancel(context.Background())
	b.life = life
	b.projections = b.ledger.Start(life, slog.New(slog.DiscardHandler),
		peopleView.Projection(b.hub), b.changing(sharesView.Projection()), roomsView.Projection(b.hub))
	t.Cleanup(func() { cancel(); b.projections.Wait() })
	b.author = newAuthor(t, b, server.Keys())
	return b
}

// changing is a projection whose fold can be changed: then it forgets declines.
func (b *books) changing(p ledger.Projection) ledger.Projection {
	fold := p.Fold
	p.Fold = func(ctx context.Context, entry ledger.Entry) error {
		if b.changed && entry.Event.Type == chain.Decline {
			entry.Event.Type = "share.ignored"
		}
		return fold(ctx, entry)
	}
	return p
}

func (b *books) digests(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, bucket := range []string{people.Bucket, shares.Bucket, rooms.Bucket} {
		digest, err := b.ledger.Digest(t.Context(), bucket)
		must(t, err)
		found[bucket] = digest
	}
	return found
}

func (b *books) rebuild(t *testing.T, name string) {
	t.Helper()
	must(t, b.projections.Rebuild(hubtest.Context(t), b.life, name))
}

func TestViewsAreRebuiltToTheSameBytes(t *testing.T) {
	b := openBooks(t)
	b.author.act(t, randomOperations)
	hubtest.Eventually(t, "the views have digested everything", func() bool { return b.settled(t) })
	before := b.digests(t)

	for _, name := range b.projections.Names() {
		b.rebuild(t, name)
	}
	if after := b.digests(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("rebuilt views have digests %v, before %v", after, before)
	}

	b.changed = true
	b.rebuild(t, "shares")
	changed := b.digests(t)
	if changed[shares.Bucket] == before[shares.Bucket] {
		t.Error("another fold gives the same view")
	}
	if changed[people.Bucket] != before[people.Bucket] || changed[rooms.Bucket] != before[rooms.Bucket] {
		t.Error("rebuilding one view changed another")
	}
	b.changed = false
	b.rebuild(t, "shares")
	if after := b.digests(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("folded as before, the views have digests %v, before %v", after, before)
	}

	report, err := b.ledger.Verify(t.Context(), b.hub)
	must(t, err)
	last, err := b.ledger.Last(t.Context())
	must(t, err)
	if len(report.Problems) > 0 || uint64(report.Events) != last || last < randomOperations*3/4 {
		t.Errorf("of %d events the ledger verifies %+v", last, report)
	}
}

// settled reports whether every projection has digested its newest event. What a server
// says is pending lags behind what it has just stored.
func (b *books) settled(t *testing.T) bool {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), ledger.Stream)
	must(t, err)
	for name, subject := range map[string]string{
		"people": chain.PersonSubject("*"), "shares": chain.PersonSubject("*"), "rooms": chain.RoomSubject("*"),
	} {
		last, err := stream.GetLastMsgForSubject(t.Context(), subject)
		must(t, err)
		consumer, err := stream.Consumer(t.Context(), name)
		must(t, err)
		if consumer.CachedInfo().AckFloor.Stream < last.Sequence {
			return false
		}
	}
	return true
}

func TestVerifyNamesWhatDoesNotHold(t *testing.T) {
	source := openBooks(t)
	source.author.act(t, 200)
	events := source.all(t)
	rng := rand.New(rand.NewPCG(1, 2))
	at := slices.IndexFunc(events, func(e ledger.Entry) bool { return e.Event.Type == chain.Invite })
	if at < 0 {
		t.Fatal("nobody made an invite")
	}
	for name, plant := range map[string]func([][]byte) ([][]byte, string){
		"control": func(all [][]byte) ([][]byte, string) { return all, "" },
		"bit flip": func(all [][]byte) ([][]byte, string) {
			flipped := slices.Clone(all[at])
			flipped[len(flipped)-1-rng.IntN(40)] ^= 1 << rng.IntN(8)
			all[at] = flipped
			return all, "body is not the one that was signed"
		},
		"deleted event": func(all [][]byte) ([][]byte, string) {
			return slices.Delete(all, at, at+1), "does not continue its chain"
		},
		"somebody not entitled": func(all [][]byte) ([][]byte, string) {
			return append(all, source.author.stranger(t)), "not entitled"
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := make([][]byte, 0, len(events))
			for _, entry := range events {
				all = append(all, entry.Event.Encode())
			}
			planted, want := plant(all)
			report := source.copyAndVerify(t, events, planted)
			switch {
			case want == "" && len(report.Problems) > 0:
				t.Errorf("an honest ledger has problems: %+v", report.Problems)
			case want != "" && (len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Reason, want)):
				t.Errorf("problems are %+v, want one that says %q", report.Problems, want)
			}
		})
	}
}

// all reads the whole ledger.
func (b *books) all(t *testing.T) []ledger.Entry {
	t.Helper()
	last, err := b.ledger.Last(t.Context())
	must(t, err)
	var events []ledger.Entry
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, b.ledger.Follow(ctx, func(entry ledger.Entry) error {
		if events = append(events, entry); entry.Seq == last {
			cancel()
		}
		return nil
	}))
	return events
}
