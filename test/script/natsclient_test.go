package script_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// natsClient is the program `nats` of scripts: an ordinary NATS client with creds.
//
//	nats [FLAGS] req SUBJECT TEXT       ask, print the answer
//	nats [FLAGS] sub SUBJECT            say "Listening", print what comes until it is interrupted
//	nats [FLAGS] pub SUBJECT TEXT       publish; --reply says where an answer is to go
//	nats [FLAGS] reply SUBJECT TEXT     answer everything there, --times times
//	nats [FLAGS] signed-req SUBJECT     ask by package event, of a responder called --answerer
//	nats [FLAGS] signed-reply SUBJECT TEXT
//
// Its exit status is 1 if the server refuses something, with what it says.
type natsClient struct {
	creds, inbox, reply, answerer string
	user, password                string
	times                         int

	nc   *nats.Conn
	over context.Context
	end  context.CancelCauseFunc
}

func natsMain() int {
	c := new(natsClient)
	flag.StringVar(&c.creds, "creds", "", "")
	flag.StringVar(&c.inbox, "inbox-prefix", "", "")
	flag.StringVar(&c.reply, "reply", "", "")
	flag.StringVar(&c.answerer, "answerer", "greeter", "")
	flag.StringVar(&c.user, "user", "", "")
	flag.StringVar(&c.password, "password", "", "")
	flag.IntVar(&c.times, "times", 1, "")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c.over, c.end = context.WithCancelCause(ctx)
	if err := c.run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (c *natsClient) run(args []string) error {
	options := []nats.Option{
		nats.UserCredentials(c.creds), nats.NoReconnect(), nats.Timeout(patience),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.end(err) }),
		nats.ClosedHandler(func(nc *nats.Conn) { c.end(errors.Join(errors.New("the connection was closed"), nc.LastError())) }),
	}
	if c.user != "" {
		options = append(options, nats.UserInfo(c.user, c.password))
	}
	if c.inbox != "" {
		options = append(options, nats.CustomInboxPrefix(c.inbox))
	}
	var err error
	if c.nc, err = nats.Connect(os.Getenv("NATS_URL"), options...); err != nil {
		return err
	}
	if len(args) < 2 {
		return errors.New("wrong usage")
	}
	text := ""
	if len(args) > 2 {
		text = args[2]
	}
	switch args[0] {
	case "req":
		return c.request(args[1], text)
	case "sub":
		return c.listen(args[1], func(msg *nats.Msg) { fmt.Printf("[%s] %s\n", msg.Subject, msg.Data) })
	case "pub":
		if err := c.nc.PublishMsg(&nats.Msg{Subject: args[1], Reply: c.reply, Data: []byte(text)}); err != nil {
			return err
		}
		return c.settled()
	case "reply":
		return c.listen(args[1], func(msg *nats.Msg) {
			for range c.times {
				_ = msg.Respond([]byte(text)) // the server says what it refuses
			}
		})
	case "signed-req":
		return c.signedRequest(args[1])
	case "signed-reply":
		return c.signedReply(args[1], text)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// settled waits until the server has taken everything, and returns what it refused.
func (c *natsClient) settled() error {
	if err := c.nc.FlushTimeout(patience); err != nil {
		return err
	}
	return c.nc.LastError()
}

func (c *natsClient) request(subject, text string) error {
	ctx, cancel := context.WithTimeout(c.over, patience)
	defer cancel()
	msg, err := c.nc.RequestWithContext(ctx, subject, []byte(text))
	if refused := context.Cause(c.over); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", msg.Data)
	return nil
}

func (c *natsClient) listen(subject string, handle nats.MsgHandler) error {
	if _, err := c.nc.Subscribe(subject, handle); err != nil {
		return err
	}
	if err := c.settled(); err != nil {
		return err
	}
	return c.stay()
}

// stay says that it listens, until it is interrupted or the server refuses something.
func (c *natsClient) stay() error {
	fmt.Println("Listening")
	<-c.over.Done()
	if err := context.Cause(c.over); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// manager signs as the user of the creds, and believes everybody in its account.
func (c *natsClient) manager() (*event.TokenManager, error) {
	file, err := os.ReadFile(c.creds)
	if err != nil {
		return nil, err
	}
	token, err := jwt.ParseDecoratedJWT(file)
	if err != nil {
		return nil, err
	}
	key, err := jwt.ParseDecoratedUserNKey(file)
	if err != nil {
		return nil, err
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, err
	}
	device, err := trust.ParseSeed(trust.Device, seed)
	if err != nil {
		return nil, err
	}
	account, err := os.ReadFile("APP.jwt") // which the operator vouches for
	if err != nil {
		return nil, err
	}
	claims, err := jwt.DecodeAccountClaims(string(account[:len(account)-1]))
	if err != nil {
		return nil, err
	}
	m, err := event.NewTokenManager(event.Rules{Operators: []string{claims.Issuer}})
	if err != nil {
		return nil, err
	}
	return m, m.SignAs(device, token+" "+string(account[:len(account)-1]))
}

func (c *natsClient) signedRequest(subject string) error {
	m, err := c.manager()
	if err != nil {
		return err
	}
	r, err := event.NewRequester(c.nc, m, event.RequesterOptions{Answerers: event.Named(c.answerer), Wait: patience})
	if err != nil {
		return err
	}
	answer, err := r.Request(c.over, subject, nil)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", answer.Access.Name, answer.Data)
	return nil
}

func (c *natsClient) signedReply(subject, text string) error {
	m, err := c.manager()
	if err != nil {
		return err
	}
	r := event.NewResponder(c.nc, m, event.ResponderOptions{
		Failed: func(_ context.Context, f *event.Failure) { fmt.Println("refused:", f.Err) },
	})
	if _, err := r.Respond(c.over, subject, "", func(_ context.Context, r *event.Received) ([]byte, error) {
		return []byte(text + " " + r.Access.Name), nil
	}); err != nil {
		return err
	}
	return c.stay()
}
