// Package operator_test is the operator who lies: a hub whose host has all of its keys and
// alters whatever the members get to see. The hub itself is a real one and keeps telling
// the truth; the liar stands between it and one member, at the member's own connection,
// and there can change, withhold, repeat, reorder and invent every answer and every
// message. It proves to be the hub, for it has the hub's keys.
//
// The member's side is the real command line, and what is looked at is what a person would
// read. Each lie has its control: the same command on the same profile, once the hub tells
// the truth again. What cannot be noticed is listed in docs/protocol/limits.md.
package operator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

// said is one message on its way to the member.
type said struct {
	Of    string // what it answers: the subject the member asked; its own subject for what comes unasked
	Asked []byte // what the member asked

	*frame
	line *line
}

// lie makes of a message what the member gets: nothing, the same, another, several.
type lie func(s *said) []*said

// Liar is a hub's operator in front of one member.
type Liar struct {
	Origin  string // where the member reaches the hub
	keys    *natsd.Keys
	signing *trust.KeyPair

	mu     sync.Mutex
	lie    lie
	ear    func(l *line, f *frame) (pass bool)
	prove  func(challenge string, p *api.Proof) // alters the hub's proof
	web    http.HandlerFunc                     // answers HTTP in its place
	told   int                                  // lies so far
	came   int                                  // connections on which the member has said something
	heard  func(*said)                          // sees everything as the hub said it
	lines  map[*line]bool                       // that are up
	upAddr string                               // the hub's NATS port
	closed bool
	front  net.Listener
	server *httptest.Server
	calm   sync.WaitGroup
}

// newLiar starts a liar who tells the truth for the time being.
func newLiar(t *testing.T, hall *hubtest.Hall) *Liar {
	t.Helper()
	keys, err := natsd.LoadKeys(hall.Dir)
	must(t, err)
	seed, err := keys.OperatorSigner.Seed()
	must(t, err)
	signing, err := trust.ParseSeed(trust.Operator, seed)
	must(t, err)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &Liar{
		keys: keys, signing: signing, front: front, lines: make(map[*line]bool),
		upAddr: strings.TrimPrefix(hall.NATS(), "nats://"),
	}
	l.server = httptest.NewServer(http.HandlerFunc(l.serveHTTP))
	l.Origin = l.server.URL
	l.calm.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *Liar) close() {
	l.mu.Lock()
	l.closed = true
	for one := range l.lines {
		_ = one.member.Close()
		_ = one.hub.Close()
	}
	l.mu.Unlock()
	_ = l.front.Close()
	l.server.Close()
	l.calm.Wait()
}

// accept connects each connection of the member with the hub.
func (l *Liar) accept() {
	for {
		member, err := l.front.Accept()
		if err != nil {
			return
		}
		hub, err := net.Dial("tcp", l.upAddr)
		if err != nil {
			_ = member.Close()
			continue
		}
		one := &line{
			liar: l, member: member, hub: hub, asked: make(map[string]*frame), subs: make(map[string]string),
		}
		l.mu.Lock()
		l.lines[one] = true
		over := l.closed
		l.mu.Unlock()
		hangUp := func() { _ = member.Close(); _ = hub.Close() }
		if over {
			hangUp()
		}
		var both sync.WaitGroup
		both.Go(func() { _ = one.fromHub(); hangUp() })
		both.Go(func() { _ = one.fromMember(); hangUp() })
		l.calm.Go(func() {
			both.Wait()
			l.mu.Lock()
			delete(l.lines, one)
			l.mu.Unlock()
		})
	}
}

// lies has the liar tell a lie from now on; nil is the truth.
func (l *Liar) lies(what lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie, l.told = what, 0
}

// listens has the liar hear, and keep if it likes, what the member sends.
func (l *Liar) listens(ear func(l *line, f *frame) (pass bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ear = ear
}

// tells is how many lies were told since lies.
func (l *Liar) tells() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// met is how many connections there were on which the member has said something.
func (l *Liar) met() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came
}

// open are the connections that the member has now.
func (l *Liar) open() []*line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []*line
	for one := range l.lines {
		lines = append(lines, one)
	}
	return lines
}

// says hands the member something unasked; false where no connection listens to it.
func (l *Liar) says(subject, reply string, header, data []byte) bool {
	done := false
	for _, one := range l.open() {
		done = one.say(subject, reply, header, data) || done
	}
	return done
}

// alter makes of what the hub says what the member gets.
func (l *Liar) alter(on *line, f *frame) []*frame {
	s := &said{Of: f.subject, frame: f, line: on}
	if request := on.request(f.subject); request != nil {
		s.Of, s.Asked = request.subject, request.data
	}
	l.mu.Lock()
	tell, heard := l.lie, l.heard
	l.mu.Unlock()
	if heard != nil {
		heard(s)
	}
	if tell == nil {
		return []*frame{f}
	}
	before := string(f.bytes())
	var frames []*frame
	for _, one := range tell(s) {
		frames = append(frames, one.frame)
	}
	if len(frames) != 1 || string(frames[0].bytes()) != before {
		l.mu.Lock()
		l.told++
		l.mu.Unlock()
	}
	return frames
}

func (l *Liar) hear(on *line, f *frame) bool {
	l.mu.Lock()
	ear := l.ear
	l.mu.Unlock()
	if ear == nil {
		return true
	}
	pass := ear(on, f)
	if !pass {
		l.mu.Lock()
		l.told++
		l.mu.Unlock()
	}
	return pass
}

// serveHTTP is the hub's HTTP origin: it proves to be the hub and sends members to the
// liar's own NATS port.
func (l *Liar) serveHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	prove, web := l.prove, l.web
	l.mu.Unlock()
	switch {
	case web != nil:
		web(w, r)
	case r.URL.Path == "/.well-known/keyhall":
		proof := l.proof(r.URL.Query().Get("challenge"), l.document())
		if prove != nil {
			prove(r.URL.Query().Get("challenge"), proof)
		}
		_ = json.NewEncoder(w).Encode(proof)
	}
}

// document is the hub document, with the liar's address.
func (l *Liar) document() api.Document {
	return api.Document{Version: 1, NATS: []string{"nats://" + l.front.Addr().String()}, Sentinel: l.keys.Sentinel}
}

// proof is the hub's answer to a challenge, signed with the hub's own key.
func (l *Liar) proof(challenge string, document api.Document) *api.Proof {
	raw, _ := hex.DecodeString(challenge)
	text, _ := json.Marshal(document)
	var asked [32]byte
	copy(asked[:], raw)
	signature := trust.ProveHub(l.signing, asked, sha256.Sum256(text))
	return &api.Proof{Hub: l.keys.OperatorJWT, Document: string(text), Proof: signature[:]}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
