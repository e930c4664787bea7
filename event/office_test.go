package event_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// office is an account of a company: joe and pam, who may ask services and hear their own
// inboxes, a greeter that may be asked and answer once, and mallory, who may do everything
// that an account holds.
type office struct {
	*natstest.Company
	t                          *testing.T
	joe, pam, greeter, mallory *clerk
}

// clerk is a user of an account: a connection, and the manager that signs as them.
type clerk struct {
	nc     *nats.Conn
	device *trust.KeyPair
	access string
	m      *event.TokenManager
}

func openOffice(t *testing.T, options natstest.CompanyOptions) *office {
	t.Helper()
	options.NoCallout = true
	o := &office{Company: natstest.StartCompany(t, options), t: t}
	o.joe, o.pam = o.hire(o.APP1, "joe", asks), o.hire(o.APP1, "pam", asks)
	o.greeter, o.mallory = o.hire(o.APP1, "greeter", greets), o.hire(o.APP1, "mallory", nil)
	return o
}

// asks are the rights of somebody with a private inbox.
func asks(claims *jwt.UserClaims) {
	claims.Pub.Allow.Add("services.>")
	claims.Sub.Allow.Add("_INBOX_" + claims.Subject + ".>")
}

// greets are the rights of a service: to be asked, and to answer once.
func greets(claims *jwt.UserClaims) {
	claims.Pub.Deny.Add(">")
	claims.Sub.Allow.Add("services.greet")
	claims.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
}

func (o *office) hire(account *natstest.CompanyAccount, name string, rights func(*jwt.UserClaims)) *clerk {
	o.t.Helper()
	path := o.User(account, name, rights)
	file, err := os.ReadFile(path)
	if err != nil {
		o.t.Fatal(err)
	}
	c := new(clerk)
	if c.access, err = jwt.ParseDecoratedJWT(file); err != nil {
		o.t.Fatal(err)
	}
	key, err := jwt.ParseDecoratedUserNKey(file)
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	if c.device, err = trust.ParseSeed(trust.Device, seed); err != nil {
		o.t.Fatal(err)
	}
	if c.nc, err = o.Connect(path, nats.CustomInboxPrefix(trust.InboxPrefix(c.device.Public()))); err != nil {
		o.t.Fatal(err)
	}
	c.m = o.manager(c)
	return c
}

// manager believes everybody in the two accounts, and signs as a user.
func (o *office) manager(c *clerk) *event.TokenManager {
	o.t.Helper()
	m, err := event.NewTokenManager(event.Rules{Accounts: []string{o.APP1.ID, o.APP2.ID}})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := m.SignAs(c.device, c.access); err != nil {
		o.t.Fatal(err)
	}
	return m
}

// requester asks as a user, and believes answers of the greeter alone.
func (o *office) requester(c *clerk, tell *inbox) *event.Requester {
	o.t.Helper()
	options := event.RequesterOptions{Answerers: event.Named("greeter")}
	if tell != nil {
		options.Failed = tell.fail
	}
	return o.requesterWith(c, options)
}

func (o *office) requesterWith(c *clerk, options event.RequesterOptions) *event.Requester {
	o.t.Helper()
	r, err := event.NewRequester(c.nc, c.m, options)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = r.Close() })
	return r
}

// greets starts the service. What it refuses comes to the returned inbox, and what it handles.
func (o *office) greets(handle event.RequestHandler) *inbox {
	o.t.Helper()
	got := newInbox(o.t)
	r := event.NewResponder(o.greeter.nc, o.greeter.m, event.ResponderOptions{Failed: got.fail})
	if _, err := r.Respond(o.t.Context(), "services.greet", "", func(ctx context.Context, r *event.Received) ([]byte, error) {
		got.received <- r
		if handle == nil {
			return []byte("hello " + r.Access.Name), nil
		}
		return handle(ctx, r)
	}); err != nil {
		o.t.Fatal(err)
	}
	return got
}

// greeted asks and expects the greeter's answer.
func (o *office) greeted(r *event.Requester, want string) *event.Received {
	o.t.Helper()
	answer, err := r.Request(natstest.Within(o.t), "services.greet", []byte("hi"))
	if err != nil {
		o.t.Fatal(err)
	}
	if string(answer.Data) != want || answer.Access.Name != "greeter" {
		o.t.Fatalf("%q, by %q", answer.Data, answer.Access.Name)
	}
	return answer
}

// overhears is every message with a subject that mallory can hear from now on.
func (o *office) overhears(subject string) *nats.Subscription {
	o.t.Helper()
	sub, err := o.mallory.nc.SubscribeSync(subject)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.mallory.nc.FlushTimeout(natstest.Patience); err != nil {
		o.t.Fatal(err)
	}
	return sub
}

func (o *office) heard(sub *nats.Subscription) *nats.Msg {
	o.t.Helper()
	msg, err := sub.NextMsg(natstest.Patience)
	if err != nil {
		o.t.Fatal(err)
	}
	return msg
}

// sends has mallory publish a message as it is.
func (o *office) sends(msg *nats.Msg) {
	o.t.Helper()
	if err := o.mallory.nc.PublishMsg(msg); err != nil {
		o.t.Fatal(err)
	}
	if err := o.mallory.nc.FlushTimeout(natstest.Patience); err != nil {
		o.t.Fatal(err)
	}
}

// request is a genuine request of a user, as a message with some reply subject.
func (o *office) request(c *clerk, reply string) *nats.Msg {
	o.t.Helper()
	v, err := c.m.Issue(&event.Event{Type: "request", Subject: "services.greet", Body: []byte("hi")})
	if err != nil {
		o.t.Fatal(err)
	}
	msg := v.Msg(event.Headers)
	if msg.Reply = reply; reply == "" {
		msg.Reply = event.ReplySubject(v.Event)
	}
	return msg
}
