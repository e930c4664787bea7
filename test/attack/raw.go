package attack

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
)

// raw speaks the protocol of NATS by itself, for what no client library sends. Its
// arguments are steps, done one after the other, each until the server has dealt with it:
//
//	CONNECT LOGIN                          log in, or log in again on the same socket
//	HPUB SUBJECT REPLY "HEADER" "PAYLOAD"  publish with these bytes as header; REPLY may be -
//	LOUD SIZE                              a CONNECT that is SIZE bytes long
//	anything else                          a line as it stands
//
// What the server says is shown; it was refused if the server said so.
func raw(c *call) error {
	if err := c.parse(1, -1); err != nil {
		return err
	}
	r, err := c.steps()
	if err != nil {
		return err
	}
	defer r.conn.Close()
	if len(r.refused) > 0 {
		return fmt.Errorf("%w: %s", errRefused, strings.Join(r.refused, "; "))
	}
	report("all went through")
	return nil
}

// hold does what raw does, and then keeps the connection until it is interrupted or thrown
// out. It shows what it hears; with -deaf it reads nothing any more.
func hold(c *call) error {
	deaf := c.flags.Bool("deaf", false, "read nothing any more")
	if err := c.parse(1, -1); err != nil {
		return err
	}
	r, err := c.steps()
	if err != nil {
		return err
	}
	defer r.conn.Close()
	if err := r.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	report("holding")
	if *deaf {
		<-c.ctx.Done()
		return nil
	}
	stop := context.AfterFunc(c.ctx, func() { _ = r.conn.Close() })
	defer stop()
	err = r.cause(r.untilPong()) // nobody asks for one
	if c.ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w: the server closed the connection: %w", errRefused, err)
}

// steps opens a socket and does what the arguments say.
func (c *call) steps() (*rawLine, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, err
	}
	r, err := openRaw(at)
	if err != nil {
		return nil, err
	}
	for _, step := range c.args {
		if err := r.step(step); err != nil {
			_ = r.conn.Close()
			return nil, fmt.Errorf("%w: after %q: %w", errRefused, cut(step), err)
		}
	}
	return r, nil
}

func cut(text string) string { return text[:min(len(text), 60)] }

// rawLine is a socket to the NATS port.
type rawLine struct {
	at      *site
	conn    net.Conn
	in      *bufio.Reader
	nonce   string
	refused []string
}

func openRaw(at *site) (*rawLine, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(at.document.NATS[0], "nats://"))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	r := &rawLine{at: at, conn: conn, in: bufio.NewReader(conn)}
	line, err := r.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	text, found := strings.CutPrefix(line, "INFO ")
	if !found {
		return nil, fmt.Errorf("no server: %q", line)
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return nil, err
	}
	r.nonce = info.Nonce
	return r, nil
}

// step does one step and waits until the server has dealt with it.
func (r *rawLine) step(step string) error {
	text, err := r.compose(step)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(r.conn, text+"\r\nPING\r\n"); err != nil {
		return r.cause(err)
	}
	return r.cause(r.untilPong())
}

// cause is what the server said before it closed the connection.
func (r *rawLine) cause(err error) error {
	if err != nil && len(r.refused) > 0 {
		return fmt.Errorf("%s, and closed", r.refused[len(r.refused)-1])
	}
	return err
}

func (r *rawLine) compose(step string) (string, error) {
	verb, rest, _ := strings.Cut(step, " ")
	switch verb {
	case "CONNECT":
		return r.connect(rest)
	case "HPUB":
		return composeMessage(rest)
	case "LOUD":
		size, err := strconv.Atoi(rest)
		return "CONNECT {\"user\":\"rooms " + strings.Repeat("a", size) + "\"}", err
	}
	return step, nil
}

func (r *rawLine) connect(login string) (string, error) {
	with, err := credentialsFor(login, r.at)
	if err != nil {
		return "", err
	}
	said := map[string]any{
		"protocol": 1, "headers": true, "no_responders": true, "lang": "raw", "version": "1",
		"jwt": with.token, "user": with.user, "pass": with.pass, "auth_token": with.word,
	}
	if with.key != nil {
		sig := with.key.Sign([]byte(r.nonce))
		said["sig"] = base64.RawURLEncoding.EncodeToString(sig[:])
	}
	if with.file != "" {
		if err := with.sayFile(said, r.nonce); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(said)
	return "CONNECT " + string(text), err
}

// sayFile says what a creds file has.
func (w *credentials) sayFile(said map[string]any, nonce string) error {
	content, err := os.ReadFile(w.file)
	if err != nil {
		return err
	}
	if said["jwt"], err = jwt.ParseDecoratedJWT(content); err != nil {
		return err
	}
	pair, err := jwt.ParseDecoratedUserNKey(content)
	if err != nil {
		return err
	}
	sig, err := pair.Sign([]byte(nonce))
	said["sig"] = base64.RawURLEncoding.EncodeToString(sig)
	return err
}

// composeMessage reads SUBJECT REPLY "HEADER" "PAYLOAD".
func composeMessage(text string) (string, error) {
	var subject, reply, header, payload string
	if _, err := fmt.Sscanf(text, "%s %s %q %q", &subject, &reply, &header, &payload); err != nil {
		return "", fmt.Errorf("%w: %w", errUsage, err)
	}
	if reply == "-" {
		reply = ""
	}
	return fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s", subject, reply, len(header), len(header)+len(payload), header, payload), nil
}

// untilPong shows what the server says until it answers a PING.
func (r *rawLine) untilPong() error {
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "PONG":
			return nil
		case "PING":
			_, err = io.WriteString(r.conn, "PONG\r\n")
		case "-ERR":
			r.refused = append(r.refused, rest)
		case "MSG", "HMSG":
			err = r.message(rest)
		}
		if err != nil {
			return err
		}
	}
}

// message shows a message: the last number of its line is its length.
func (r *rawLine) message(about string) error {
	fields := strings.Fields(about)
	size, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return err
	}
	data := make([]byte, size+2)
	if _, err := io.ReadFull(r.in, data); err != nil {
		return err
	}
	report("heard %s %q", fields[0], data[:size])
	return nil
}
