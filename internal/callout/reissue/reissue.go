// Package reissue gives a user of a NATS account in operator mode new creds, with other
// rights, and takes the old ones back: who has them is put out and is not let in again.
//
// A user JWT is good until it expires, whatever is issued after it, so that new creds alone
// take nothing from anybody. Reissue makes a new key, since whoever copied the old creds has
// the old one, and revokes that in the account's JWT before it returns.
package reissue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

// The waits for servers, where nothing else is said.
const (
	answerTime = 10 * time.Second
	quietTime  = 750 * time.Millisecond
)

// Options say what to issue, and by whose word.
type Options struct {
	Old      *jwt.UserClaims // what is to be replaced
	Signer   nkeys.KeyPair   // the account's identity, or a signing key of it
	Operator nkeys.KeyPair   // the operator's key that issued the account's JWT, and does so again
	// Change says what the new JWT has otherwise than the old one. nil: nothing but the key.
	// Under a signing key with a scope it must leave permissions alone.
	Change func(*jwt.UserClaims)
	// Keep puts the new creds away. Nothing is revoked before it has returned.
	Keep func(creds []byte) error
	// Servers is how many have to take the account's JWT; 0: all that answer.
	Servers int
}

// Made is what came of it.
type Made struct {
	Claims  *jwt.UserClaims // the new ones
	Servers int             // that took the account's JWT
}

// Reissue makes the new creds and revokes the old ones, over a connection of the system
// account. If it fails before the servers were asked, nothing was changed; where some of
// them took the revocation, the error says so.
//
// It replaces the account's JWT by one that it makes from the newest which servers have. Let
// nobody else change the account at the same time.
func Reissue(ctx context.Context, sys *nats.Conn, o Options) (*Made, error) {
	s := &servers{nc: sys, want: o.Servers}
	id := keyfile.Issuer(o.Old)
	account, err := s.account(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := o.check(account); err != nil {
		return nil, err
	}
	claims, creds, err := o.issue(account)
	if err != nil {
		return nil, err
	}
	if err := o.Keep(creds); err != nil {
		return nil, err
	}
	if err := laterThan(ctx, account.IssuedAt); err != nil {
		return nil, err
	}
	now := time.Now()
	if issued := time.Unix(o.Old.IssuedAt, 0); issued.After(now) {
		now = issued // by a clock that is fast; revocations count from the time of issue
	}
	account.RevokeAt(o.Old.Subject, now)
	took, err := s.push(ctx, account, o.Operator)
	if err != nil {
		return nil, err
	}
	return &Made{Claims: claims, Servers: took}, nil
}

// check finds out whether the keys are those of the account and its operator.
func (o *Options) check(account *jwt.AccountClaims) error {
	operator, err := o.Operator.PublicKey()
	if err != nil || nkeys.Prefix(operator) != nkeys.PrefixByteOperator {
		return fault.New(fault.Malformed, "the operator's key is none")
	}
	if operator != account.Issuer { // servers take any JWT that is pushed, and then let in nobody
		return fault.New(fault.Refused, "the operator's key is %s, and the account's JWT was issued by %s: sign with that one", operator, account.Issuer)
	}
	signer, err := o.Signer.PublicKey()
	if err != nil {
		return fault.New(fault.Malformed, "the account's key is none")
	}
	if signer != account.Subject && !account.SigningKeys.Contains(signer) {
		return fault.New(fault.Refused, "the key %s is none of the account %s: it is neither its identity nor one of its signing keys", signer, account.Subject)
	}
	return nil
}

// issue makes the new JWT and its creds.
func (o *Options) issue(account *jwt.AccountClaims) (*jwt.UserClaims, []byte, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, nil, fmt.Errorf("make user key: %w", err)
	}
	defer key.Wipe()
	public, err := key.PublicKey()
	if err != nil {
		return nil, nil, fmt.Errorf("make user key: %w", err)
	}
	signer, err := o.Signer.PublicKey()
	if err != nil {
		return nil, nil, fmt.Errorf("issue user: %w", err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.User = o.Old.Name, o.Old.User
	claims.Expires, claims.NotBefore = o.Old.Expires, 0
	if scope, _ := account.SigningKeys.GetScope(signer); scope != nil {
		claims.SetScoped(true)
	} else if o.Old.HasEmptyPermissions() {
		return nil, nil, fault.New(fault.Refused, "the rights of %s stand with its signing key, which has a scope; sign with that key again, or issue it creds of its own", o.Old.Name)
	}
	if claims.IssuerAccount = ""; signer != account.Subject {
		claims.IssuerAccount = account.Subject
	}
	if o.Change != nil {
		o.Change(claims)
	}
	if scope, _ := account.SigningKeys.GetScope(signer); scope != nil && scope.ValidateScopedSigner(claims) != nil {
		return nil, nil, fault.New(fault.Refused, "the key that signs has a scope, which says what its users may: leave permissions out")
	}
	if claims.Expires != 0 && claims.Expires <= time.Now().Unix() {
		return nil, nil, fault.New(fault.Expired, "the creds have expired already; say how long the new ones are to be good")
	}
	token, err := claims.Encode(o.Signer)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Malformed, err, "the new JWT cannot be made: %v", err)
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, nil, fmt.Errorf("issue user: %w", err)
	}
	creds, err := jwt.FormatUserConfig(token, seed)
	return claims, creds, err
}

// laterThan waits until a JWT that is issued now has a later time than one in seconds: of
// two of one second, servers that compare what they have may keep the first.
func laterThan(ctx context.Context, issued int64) error {
	wait := time.Until(time.Unix(issued+1, 0))
	if wait <= 0 {
		return nil
	}
	if wait > answerTime {
		return fault.New(fault.Unavailable, "the account's JWT is from the future; check the clocks")
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// servers are all servers behind a connection of the system account.
type servers struct {
	nc   *nats.Conn
	want int
}

// account is the newest JWT of an account that they have.
func (s *servers) account(ctx context.Context, id string) (*jwt.AccountClaims, error) {
	answers, err := s.ask(ctx, "$SYS.REQ.ACCOUNT."+id+".CLAIMS.LOOKUP", nil)
	if err != nil {
		return nil, err
	}
	var newest *jwt.AccountClaims
	for _, answer := range answers {
		claims, err := jwt.DecodeAccountClaims(string(answer))
		if err == nil && claims.Subject == id && (newest == nil || claims.IssuedAt > newest.IssuedAt) {
			newest = claims
		}
	}
	if newest == nil {
		return nil, fault.New(fault.NotFound, "the servers have no account %s in a resolver that accounts can be pushed to", id)
	}
	return newest, nil
}

// push replaces an account's JWT on all servers, and makes sure that they have it.
func (s *servers) push(ctx context.Context, account *jwt.AccountClaims, operator nkeys.KeyPair) (int, error) {
	token, err := account.Encode(operator)
	if err != nil {
		return 0, fault.Wrap(fault.Malformed, err, "the account's JWT cannot be made: %v", err)
	}
	answers, err := s.ask(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(token))
	if err != nil {
		return 0, err
	}
	took := 0
	for _, answer := range answers {
		if code, message := pushed(answer); code == 200 {
			took++
		} else {
			err = fault.New(fault.Refused, "%d of %d servers took the revocation; one says: %q", took, len(answers), message)
		}
	}
	if err != nil {
		return took, err
	}
	if took < s.want {
		return took, fault.New(fault.Unavailable, "%d servers took the revocation, and %d are wanted; push it again", took, s.want)
	}
	return took, nil
}

// pushed is what a server says of a push.
func pushed(answer []byte) (code int, message string) {
	var said struct {
		Data, Error struct {
			Code        int    `json:"code"`
			Message     string `json:"message"`
			Description string `json:"description"`
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return 0, "an answer that cannot be read"
	}
	if said.Error.Code != 0 || said.Data.Code == 0 {
		return 0, said.Error.Description
	}
	return said.Data.Code, said.Data.Message
}

// ask gathers the answers of all servers: as many as are wanted, or until none comes for a
// while.
func (s *servers) ask(ctx context.Context, subject string, data []byte) ([][]byte, error) {
	reply := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.PublishRequest(subject, reply, data); err != nil {
		return nil, err
	}
	var answers [][]byte
	for s.want == 0 || len(answers) < s.want {
		wait := answerTime
		if s.want == 0 && len(answers) > 0 {
			wait = quietTime
		}
		within, cancel := context.WithTimeout(ctx, wait)
		msg, err := sub.NextMsgWithContext(within)
		cancel()
		switch {
		case err == nil && msg.Header.Get("Status") != "503":
			answers = append(answers, msg.Data)
			continue
		case len(answers) > 0 && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			return answers, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, fault.Wrap(fault.Refused, err, "no server answers on %s: these are no creds of the system account, or accounts cannot be pushed there", subject)
	}
	return answers, nil
}
