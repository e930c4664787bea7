//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/callout/metrics"
	"keyhall.dev/keyhall/internal/fault"
)

// Who logs in at the callouts of the rows, and what they get.
const (
	calloutUser     = "alice"
	calloutSlow     = "slow"     // whose backend takes calloutWait
	calloutSentinel = "sentinel" // who sends the sentinel's creds as well
	calloutPassword = "a password of alice's"
	calloutWait     = 20 * time.Millisecond
	calloutLife     = time.Hour
)

var (
	calloutPublish   = []string{"app.orders.>", "app.alice.>"}
	calloutSubscribe = []string{"app.news.>", "_INBOX_alice.>"}
)

// calloutServiceCommand makes this program a callout of a company and nothing else: keyhall's
// engine with a backend that only compares, or with the users file; or a plain one.
const calloutServiceCommand = "callout-service"

func calloutService(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench callout-service engine|users|plain FILE")
	}
	c, err := readCompany(args[1])
	if err != nil {
		return err
	}
	nc, err := nats.Connect(c.url(), nats.UserCredentialBytes([]byte(c.AuthUser)), nats.Timeout(companyPatience),
		nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0), nats.IgnoreAuthErrorAbort())
	if err != nil {
		return err
	}
	defer nc.Close()
	keys, err := c.keys()
	if err != nil {
		return err
	}
	if args[0] == "plain" {
		if err := keys.servePlain(nc); err != nil {
			return err
		}
		fmt.Println("ready")
		<-ctx.Done()
		return nil
	}
	backend := callout.Only("bench", keys.compare)
	if args[0] == "users" {
		if backend, err = keys.usersFile(filepath.Dir(c.file)); err != nil {
			return err
		}
	}
	return keys.serve(ctx, nc, backend, c.AuthUser)
}

// calloutKeys are those of a callout.
type calloutKeys struct {
	auth, app            string
	issuer, xkey, signer nkeys.KeyPair
}

func (c *company) keys() (*calloutKeys, error) {
	k := &calloutKeys{auth: c.Auth, app: c.App}
	var errs [3]error
	k.issuer, errs[0] = nkeys.FromSeed([]byte(c.Issuer))
	k.xkey, errs[1] = nkeys.FromCurveSeed([]byte(c.XKey))
	k.signer, errs[2] = nkeys.FromSeed([]byte(c.Signer))
	return k, errors.Join(errs[:]...)
}

// serve runs the engine until ctx ends, with metrics and with an audit, as keyhall callout does.
func (k *calloutKeys) serve(ctx context.Context, nc *nats.Conn, backend callout.Backend, authUser string) error {
	counted := metrics.New()
	written, err := startAudit(ctx, nc, authUser)
	if err != nil {
		return err
	}
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: k.auth, Issuer: k.issuer, XKey: k.xkey, Backends: []callout.Backend{backend},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Decided: func(d callout.Decision) {
			written.Decided(d)
			counted.Decided(d)
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime/2)
	defer cancel()
	return errors.Join(engine.Close(closing), written.Close(closing))
}

func startAudit(ctx context.Context, nc *nats.Conn, authUser string) (*audit.Log, error) {
	token, err := jwt.ParseDecoratedJWT([]byte(authUser))
	if err != nil {
		return nil, err
	}
	pair, err := jwt.ParseDecoratedUserNKey([]byte(authUser))
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	return audit.Start(ctx, audit.Options{Conn: nc, Identity: audit.Identity{Seed: seed, Token: token}, MaxBytes: 100 << 20})
}

// compare is what the simplest backend does.
func (k *calloutKeys) compare(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	if request.Password.Reveal() != calloutPassword {
		return nil, fault.New(fault.Refused, "not the password")
	}
	if request.User == calloutSlow {
		select {
		case <-time.After(calloutWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &callout.Grant{
		Account: k.app, Signer: k.signer, Name: request.User, Expires: time.Now().Add(calloutLife),
		Publish: callout.Subjects{Allow: calloutPublish}, Subscribe: callout.Subjects{Allow: calloutSubscribe},
	}, nil
}

// usersFile is the backend of a users file with one user, whose password is hashed.
func (k *calloutKeys) usersFile(dir string) (callout.Backend, error) {
	hash, err := users.Hash(calloutPassword)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "users.json")
	text := fmt.Sprintf(`{%q: {"pass": %q, "account": "APP", "permissions": {"pub": {"allow": ["app.>"]}}}}`, calloutUser, hash)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	backend, _, err := users.Load(file, callout.Accounts{{Name: "APP", ID: k.app, Signer: k.signer}}, nil)
	return backend, err
}

// servePlain is a callout as one writes it with the jwt and nkeys libraries alone: one
// request after the other, as reference system 5 has it.
func (k *calloutKeys) servePlain(nc *nats.Conn) error {
	_, err := nc.QueueSubscribe(natsAuthSubject, "plain", func(m *nats.Msg) {
		if answer, err := k.answerPlain(m); err == nil {
			_ = m.Respond(answer)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	return err
}

const (
	natsAuthSubject = "$SYS.REQ.USER.AUTH"
	natsXKeyHeader  = "Nats-Server-Xkey"
)

func (k *calloutKeys) answerPlain(m *nats.Msg) ([]byte, error) {
	xkey := m.Header.Get(natsXKeyHeader)
	token, err := k.xkey.Open(m.Data, xkey)
	if err != nil {
		return nil, err
	}
	request, err := jwt.DecodeAuthorizationRequestClaims(string(token))
	if err != nil {
		return nil, err
	}
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	if request.ConnectOptions.Password != calloutPassword {
		response.Error = "no"
	} else {
		claims := jwt.NewUserClaims(request.UserNkey)
		claims.Name = request.ConnectOptions.Username
		claims.Expires = time.Now().Add(calloutLife).Unix()
		claims.Pub.Allow.Add(calloutPublish...)
		claims.Sub.Allow.Add(calloutSubscribe...)
		if response.Jwt, err = claims.Encode(k.signer); err != nil {
			return nil, err
		}
	}
	answer, err := response.Encode(k.issuer)
	if err != nil {
		return nil, err
	}
	return k.xkey.Seal([]byte(answer), xkey)
}
