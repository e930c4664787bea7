package attack

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// answerTime is how long an answer may take; what gets none is refused by silence, and
// needs a control beside it that gets one.
const answerTime = 5 * time.Second

// headers is a flag that may come many times.
type headers nats.Header

func (h headers) String() string { return "" }

func (h headers) Set(text string) error {
	key, value, found := strings.Cut(text, ":")
	if !found {
		return fmt.Errorf("write a header as KEY:VALUE")
	}
	h[key] = append(h[key], strings.TrimSpace(value))
	return nil
}

func (h headers) on(msg *nats.Msg) *nats.Msg {
	if len(h) > 0 {
		msg.Header = nats.Header(h)
	}
	return msg
}

// connect logs in, and shows what the server says of the connection.
func connect(c *call) error {
	socket := c.flags.String("socket", "", "through the WebSocket of the hub at this origin")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	nc, err := c.dialThrough(*socket)
	if err != nil {
		return err
	}
	defer nc.Close()
	report("connected")
	return nc.settle()
}

// guess tries one login after the other, as fast as they are refused, until one is let in.
func guess(c *call) error {
	if err := c.parse(1, -1); err != nil {
		return err
	}
	var refused error
	for _, login := range c.args {
		*c.login = login
		nc, err := c.dial()
		if err == nil {
			defer nc.Close()
			report("let in: %s", login)
			return nc.settle()
		}
		if !errors.Is(err, errRefused) {
			return err
		}
		refused = err
	}
	return refused
}

func subscribe(c *call) error {
	queue := c.flags.String("queue", "", "the queue group to join")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.QueueSubscribeSync(c.arg(0), *queue); err != nil {
		return err
	}
	if err := nc.settle(); err != nil {
		return err
	}
	report("subscribed to %s", c.arg(0))
	return nil
}

// listen shows every message that comes, until it is interrupted or thrown out.
func listen(c *call) error {
	queue := c.flags.String("queue", "", "the queue group to join")
	if err := c.parse(1, -1); err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	gone := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(gone) })
	for _, subject := range c.args {
		_, err := nc.QueueSubscribe(subject, *queue, func(msg *nats.Msg) {
			report("heard %s %q %q", msg.Subject, msg.Header, msg.Data)
		})
		if err != nil {
			return err
		}
	}
	if err := nc.settle(); err != nil {
		return err
	}
	report("listening")
	select {
	case <-c.ctx.Done():
		return nil
	case <-gone:
		return fmt.Errorf("%w: the server closed the connection: %v", errRefused, nc.LastError())
	}
}

func publish(c *call) error {
	head := headers{}
	c.flags.Var(head, "header", "a header")
	reply := c.flags.String("reply", "", "the reply subject")
	if err := c.parse(1, 2); err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	msg := head.on(&nats.Msg{Subject: c.arg(0), Reply: *reply, Data: []byte(c.arg(1))})
	if err := nc.PublishMsg(msg); err != nil {
		return err
	}
	if err := nc.settle(); err != nil {
		return err
	}
	report("published to %s", c.arg(0))
	return nil
}

func request(c *call) error {
	head := headers{}
	c.flags.Var(head, "header", "a header")
	if err := c.parse(1, 2); err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	answer, err := nc.ask(head.on(&nats.Msg{Subject: c.arg(0), Data: []byte(c.arg(1))}))
	if err != nil {
		return err
	}
	report("%s", answer.Data)
	return nil
}

// ask sends a request and waits for its answer. What the server refuses of it is an error
// at once, and so is an error that a service gave.
func (l *line) ask(msg *nats.Msg) (*nats.Msg, error) {
	msg.Reply = l.NewRespInbox()
	sub, err := l.SubscribeSync(msg.Reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := l.PublishMsg(msg); err != nil {
		return nil, err
	}
	if err := l.settle(); err != nil {
		return nil, err
	}
	answer, err := sub.NextMsg(answerTime)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return nil, fmt.Errorf("%w: %s: %s", errRefused, code, answer.Header.Get(micro.ErrorHeader))
	}
	return answer, nil
}
