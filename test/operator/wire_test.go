package operator_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// frame is one operation of the NATS client protocol. A message that travels has its
// arguments taken apart; of everything else the line stands as it came.
type frame struct {
	verb    string // PUB, HPUB, MSG, HMSG, or another
	line    string // of another
	subject string
	sid     string // of MSG and HMSG
	reply   string
	header  []byte // with its own end; nil for none
	data    []byte
}

// readFrame reads one operation.
func readFrame(r *bufio.Reader) (*frame, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	verb, rest, _ := strings.Cut(line, " ")
	f := &frame{verb: strings.ToUpper(verb), line: line}
	args := strings.Fields(rest)
	sizes := 1
	switch f.verb {
	case "HPUB", "HMSG":
		sizes = 2
	case "PUB", "MSG":
	default:
		return f, nil
	}
	if len(args) < sizes+1 {
		return nil, fmt.Errorf("operation %q", line)
	}
	f.subject = args[0]
	between := args[1 : len(args)-sizes]
	if f.verb == "MSG" || f.verb == "HMSG" {
		f.sid, between = between[0], between[1:]
	}
	if len(between) > 0 {
		f.reply = between[0]
	}
	total, err := strconv.Atoi(args[len(args)-1])
	if err != nil {
		return nil, err
	}
	payload := make([]byte, total+2)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	payload = payload[:total]
	if sizes == 2 {
		head, err := strconv.Atoi(args[len(args)-2])
		if err != nil || head > total {
			return nil, fmt.Errorf("operation %q", line)
		}
		f.header, payload = payload[:head], payload[head:]
	}
	f.data = payload
	return f, nil
}

// bytes is the operation as it travels.
func (f *frame) bytes() []byte {
	var b bytes.Buffer
	switch f.verb {
	case "PUB", "HPUB", "MSG", "HMSG":
	default:
		b.WriteString(f.line + "\r\n")
		return b.Bytes()
	}
	verb := strings.TrimPrefix(f.verb, "H")
	if f.header != nil {
		verb = "H" + verb
	}
	b.WriteString(verb + " " + f.subject)
	for _, arg := range []string{f.sid, f.reply} {
		if arg != "" {
			b.WriteString(" " + arg)
		}
	}
	if f.header != nil {
		fmt.Fprintf(&b, " %d", len(f.header))
	}
	fmt.Fprintf(&b, " %d\r\n", len(f.header)+len(f.data))
	b.Write(f.header)
	b.Write(f.data)
	b.WriteString("\r\n")
	return b.Bytes()
}

// line is one connection of a member, with the liar in between.
type line struct {
	liar   *Liar
	member net.Conn
	hub    net.Conn

	mu    sync.Mutex
	asked map[string]*frame // what the member asked, by reply subject
	subs  map[string]string // what the member listens to, by sid

	writing sync.Mutex // of the member's end
	sending sync.Mutex // of the hub's end
}

// toMember hands something over as the server would.
func (l *line) toMember(f *frame) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.member.Write(f.bytes())
	return err
}

func (l *line) toHub(f *frame) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	_, err := l.hub.Write(f.bytes())
	return err
}

// fromHub passes on, altered, what the server says, until one of the two hangs up.
func (l *line) fromHub() error {
	for r := bufio.NewReaderSize(l.hub, 64<<10); ; {
		f, err := readFrame(r)
		if err != nil {
			return err
		}
		said := []*frame{f}
		switch f.verb {
		case "INFO":
			f.line = onlyHere(f.line)
		case "MSG", "HMSG":
			said = l.liar.alter(l, f)
		}
		for _, one := range said {
			if err := l.toMember(one); err != nil {
				return err
			}
		}
	}
}

// onlyHere takes the server's other addresses out of what it says of itself: a member
// would come back past the liar.
func onlyHere(line string) string {
	info := make(map[string]any)
	_, text, _ := strings.Cut(line, " ")
	if json.Unmarshal([]byte(text), &info) != nil {
		return line
	}
	delete(info, "connect_urls")
	delete(info, "ws_connect_urls")
	data, err := json.Marshal(info)
	if err != nil {
		return line
	}
	return "INFO " + string(data)
}

// fromMember passes on what the member says, but for what the liar keeps.
func (l *line) fromMember() error {
	for r := bufio.NewReaderSize(l.member, 64<<10); ; {
		f, err := readFrame(r)
		if err != nil {
			return err
		}
		pass := true
		switch f.verb {
		case "CONNECT":
			l.liar.mu.Lock()
			l.liar.came++
			l.liar.mu.Unlock()
		case "SUB":
			args := strings.Fields(f.line)
			l.mu.Lock()
			l.subs[args[len(args)-1]] = args[1]
			l.mu.Unlock()
		case "UNSUB":
			if args := strings.Fields(f.line); len(args) == 2 {
				l.mu.Lock()
				delete(l.subs, args[1])
				l.mu.Unlock()
			}
		case "PUB", "HPUB":
			l.mu.Lock()
			if f.reply != "" {
				l.asked[f.reply] = f
			}
			l.mu.Unlock()
			pass = l.liar.hear(l, f)
		}
		if !pass {
			continue
		}
		if err := l.toHub(f); err != nil {
			return err
		}
	}
}

// request is what the member asked to whose reply subject something goes, nil for none.
func (l *line) request(subject string) *frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[subject]
}

// say hands the member a message on a subject, as if the hub had it from somebody; false
// where the member does not listen.
func (l *line) say(subject, reply string, header, data []byte) bool {
	l.mu.Lock()
	sid := ""
	for one, pattern := range l.subs {
		if matches(pattern, subject) {
			sid = one
		}
	}
	l.mu.Unlock()
	if sid == "" {
		return false
	}
	return l.toMember(&frame{verb: "MSG", subject: subject, sid: sid, reply: reply, header: header, data: data}) == nil
}

// matches reports whether a subject is one of a pattern's.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}
