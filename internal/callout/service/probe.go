package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	checkPrefix = "keyhall-check." // of the user field of a service's own logins
	checkLife   = time.Minute      // of one of them
	checkTime   = 20 * time.Second // for one of them
	reasonTime  = 2 * time.Second  // for the servers to say why not
	standTime   = time.Second      // that a replica leaves to the maker of a self-check

	requestSubject = "$SYS.REQ.USER.AUTH"
	errorSubject   = "$SYS.ACCOUNT.CLIENT.AUTH.ERR" // where servers tell AUTH why a login failed
	systemSubject  = "$SYS.REQ.SERVER.PING.IDZ"     // which servers answer to the system account
)

// probe logs in, hears what the servers ask about it, and answers itself.
type probe struct {
	keys    *keys
	urls    string
	options []nats.Option
	trial   *callout.Trial
	errors  *nats.Subscription
	warn    func(format string, values ...any)

	heard bool // requests come, and it can read them

	mu      sync.Mutex
	tries   map[string]*try // by the name of the client
	foreign error           // a request that was not encrypted, or to another xkey
}

// try is one login.
type try struct {
	user    string
	claims  *jwt.UserClaims // of the answer; nil: none is given
	signer  nkeys.KeyPair
	request *callout.Request // as it came
	unread  chan struct{}    // closed when one came that cannot be read: perhaps this one
	reason  chan string      // why it failed, in the servers' words
}

// startProbe begins to hear requests. It finds out whether these creds may.
func (s *Service) startProbe(k *keys) (*probe, error) {
	p := &probe{keys: k, urls: strings.Join(k.config.NATS, ","), options: s.dialing(k.config), warn: k.warn, tries: make(map[string]*try)}
	before := s.nc.LastError()
	var err error
	p.trial, err = callout.StartTrial(callout.Config{
		Conn: s.nc, Account: k.creds.Account(), Issuer: k.issuer, XKey: k.xkey, Logger: s.logger,
	}, p.hear)
	if err == nil {
		err = s.nc.FlushTimeout(checkTime)
	}
	if last := s.nc.LastError(); err == nil && last != before && errors.Is(last, nats.ErrPermissionViolation) {
		err = refuse("the user in %s may not subscribe to %s: give it that right: nsc edit user --account AUTH --name %s --allow-sub '%s'",
			k.config.Creds, requestSubject, k.creds.Claims.Name, requestSubject)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	// Whether this is allowed shows in whether something comes.
	p.errors, err = s.nc.Subscribe(errorSubject, p.hearError)
	if err == nil {
		err = s.nc.FlushTimeout(checkTime)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *probe) close() {
	if p.trial != nil {
		_ = p.trial.Close() // the connection outlives it
	}
	if p.errors != nil {
		_ = p.errors.Unsubscribe()
	}
}

// hear looks at every login request, and answers its own.
func (p *probe) hear(h callout.Heard) {
	public := publicOf(p.keys.xkey)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case h.Open:
		p.foreign = noXKey(public)
	case h.Err != nil:
		p.foreign = otherXKey(p.keys.config.XKey, public)
	}
	if h.Open || h.Err != nil {
		for _, t := range p.tries {
			t.miss()
		}
		return
	}
	t := p.tries[h.Request.Client.Name]
	if t == nil || t.user != h.Request.User || t.request != nil {
		return
	}
	t.request = h.Request
	if t.claims != nil {
		if err := h.Allow(t.claims, t.signer); err != nil {
			p.foreign = err
		}
	}
}

func (t *try) miss() {
	select {
	case <-t.unread:
	default:
		close(t.unread)
	}
}

// hearError notes why a login of its own failed.
func (p *probe) hearError(message *nats.Msg) {
	var event struct {
		Client struct{ Name string }
		Reason string
	}
	if json.Unmarshal(message.Data, &event) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tries[event.Client.Name]; t != nil {
		select {
		case t.reason <- event.Reason:
		default:
		}
	}
}

// login logs in as nobody, with the sentinel's creds or none, and is answered with claims.
// The connection is the caller's; without one err says why.
func (p *probe) login(ctx context.Context, claims *jwt.UserClaims, signer nkeys.KeyPair, options ...nats.Option) (*try, *nats.Conn, error) {
	name, user, proof, err := p.ownUser()
	if err != nil {
		return nil, nil, err
	}
	t := &try{user: user, claims: claims, signer: signer, unread: make(chan struct{}), reason: make(chan string, 1)}
	p.mu.Lock()
	p.tries[name] = t
	p.mu.Unlock()
	all := append([]nats.Option{
		nats.Name(name), nats.UserInfo(user, proof), nats.NoReconnect(), nats.Timeout(checkTime),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, p.options...)
	if p.keys.sentinel != nil {
		all = append(all, nats.UserCredentialBytes(p.keys.sentinel.Text))
	}
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(p.urls, append(all, options...)...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return t, r.nc, r.err
	case <-t.unread:
		err = errUnread
	case <-ctx.Done():
		err = ctx.Err()
	}
	go func() { // it ends by its own timeout
		if r := <-done; r.nc != nil {
			r.nc.Close()
		}
	}()
	return t, nil, err
}

var errUnread = errors.New("the request cannot be read")

// ownUser is a user field that no person has, with a proof in the place of a password that
// only a holder of AUTH's key can make: a replica that hears the request leaves it alone.
func (p *probe) ownUser() (name, user, proof string, err error) {
	name = "keyhall callout check " + rand.Text()
	user = checkPrefix + strconv.FormatInt(time.Now().Add(checkLife).Unix(), 10) + "." + rand.Text()
	signature, err := p.keys.issuer.Sign([]byte(user))
	return name, user, base64.RawURLEncoding.EncodeToString(signature), err
}

// failed is what stands against the set-up after a login that did not get through: what the
// servers said, where they may say it here.
func (p *probe) failed(t *try) (reason string, err error) {
	p.mu.Lock()
	err = p.foreign
	p.mu.Unlock()
	if err != nil {
		return "", err
	}
	select {
	case reason = <-t.reason:
	case <-time.After(reasonTime):
	}
	return reason, nil
}

// look sees whether the servers ask at all, to whom they encrypt it, and with which sentinel.
func (p *probe) look(ctx context.Context) error {
	first := p.keys.accounts[0]
	t, nc, err := p.login(ctx, nothing(first), first.Signer)
	if t == nil {
		return err
	}
	if nc != nil {
		nc.Close()
	}
	p.mu.Lock()
	foreign, request := p.foreign, t.request
	p.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case foreign != nil:
		return foreign
	case request == nil && nc != nil:
		return p.notAsked()
	case request == nil:
		return p.notLetIn(err)
	}
	p.heard = true
	if err := checkVersion(request.Server.Name, request.Server.Version); err != nil {
		return err
	}
	return p.checkBearer(request)
}

// notAsked is about servers that let the sentinel in without asking anybody.
func (p *probe) notAsked() error {
	auth := p.keys.creds.Account()
	if p.keys.sentinel == nil {
		return refuse("the servers let in a login without a password, and ask no callout: they have another default than a sentinel of AUTH; " +
			"see default_sentinel and no_auth_user in their configuration")
	}
	return refuse("the servers let the sentinel in and ask no callout: AUTH (%s) has none, or the sentinel is one of its auth users; "+
		"run nsc edit authcallout --account AUTH --auth-user %s --allowed-account %s --curve %s and push the account",
		auth, p.keys.creds.Claims.Subject, p.keys.accounts[0].ID, publicOf(p.keys.xkey))
}

// notLetIn is about servers that refuse a login without asking.
func (p *probe) notLetIn(err error) error {
	if !notAuthorized(err) && !errors.Is(err, nats.ErrTimeout) {
		return fault.Wrap(fault.Unavailable, err, "the servers could not be checked: a login failed (%s)", plain(err))
	}
	if p.keys.sentinel != nil {
		return refuse("the servers refuse the sentinel in %s without asking the callout: it expired, was revoked, or AUTH has no callout; "+
			"make a new one: nsc add user --account AUTH --name sentinel --deny-pubsub '>'", p.keys.config.Sentinel)
	}
	p.warn("the servers have no default sentinel, and none is named with --sentinel: whether requests are encrypted, whether the sentinel " +
		"may do nothing and whether the accounts' keys are right was not checked")
	for _, account := range p.keys.accounts {
		if account.Scoped {
			p.warn("whether the key in %s is bound to a template was not checked: if it is not, everybody placed in %s may do everything there",
				account.key, account.Name)
		}
	}
	return nil
}

// checkBearer judges the sentinel that the servers had: their own, where the client sent none.
func (p *probe) checkBearer(request *callout.Request) error {
	claims, err := jwt.DecodeUserClaims(request.Bearer)
	if err != nil {
		return nil //nolint:nilerr // nothing to judge
	}
	return checkSentinel(claims)
}

// nothing is a login in an account that may do nothing.
func nothing(a account) *jwt.UserClaims {
	claims := jwt.NewUserClaims("nobody yet")
	claims.Name, claims.Expires = "keyhall-check", time.Now().Add(checkLife).Unix()
	if publicOf(a.Signer) != a.ID {
		claims.IssuerAccount = a.ID
	}
	claims.Pub.Deny.Add(">")
	claims.Sub.Deny.Add(">")
	return claims
}

// checkAccount sees whether logins can be placed in an account, and whether its key is bound
// to a template or not, as the configuration says.
func (p *probe) checkAccount(ctx context.Context, a account) error {
	reason, let, err := p.place(ctx, a, nothing(a))
	switch {
	case err != nil:
		return err
	case let && a.Scoped:
		return refuse("the key in %s is not bound to a template, as :scoped says it is: everybody placed in %s could do everything there; "+
			"make one (nsc edit signing-key --account %s --sk generate --role NAME --allow-pubsub …), or leave :scoped out and give permissions to users",
			a.key, a.Name, a.Name)
	case let:
		return p.checkSystem(ctx, a)
	case a.Scoped && strings.Contains(reason, "ser JWT is not valid"):
		return nil // it has a template, and takes nothing else
	}
	return p.notPlaced(a, reason)
}

// place has a login placed. Another replica may refuse it before this one allows it.
func (p *probe) place(ctx context.Context, a account, claims *jwt.UserClaims) (reason string, let bool, err error) {
	t, nc, failure := p.login(ctx, claims, a.Signer)
	switch {
	case nc != nil:
		nc.Close()
		return "", true, nil
	case ctx.Err() != nil:
		return "", false, ctx.Err()
	case t == nil:
		return "", false, failure
	}
	reason, err = p.failed(t)
	return reason, false, err
}

// notPlaced puts the servers' reason into words.
func (p *probe) notPlaced(a account, reason string) error {
	switch {
	case strings.Contains(reason, "not permitted as valid account option"):
		return notAllowed(a.Account)
	case strings.Contains(reason, "is not known"):
		return refuse("the key in %s (%s) is none of account %s (%s): it was removed, the account was not pushed, or it is another account's; "+
			"nsc describe account %s shows its signing keys", a.key, publicOf(a.Signer), a.Name, a.ID, a.Name)
	case strings.Contains(reason, "o valid account"):
		return refuse("the servers do not know account %s (%s): push it (nsc push --account %s), or correct its key", a.Name, a.ID, a.Name)
	case strings.Contains(reason, "ser JWT is not valid"):
		return refuse("the key in %s is bound to a template (a scoped signing key): say so with %s=%s:%s:scoped", a.key, a.Name, a.ID, a.key)
	case strings.Contains(reason, "service returned an error"):
		p.warn("another callout answers for AUTH and refused a login of this self-check: whether account %s is right was not checked", a.Name)
		return nil
	case reason == "":
		return refuse("the servers place no login in account %s (%s) and may not say why: see that %s is one of its signing keys and that it is an allowed account "+
			"(nsc describe account AUTH); to have the reason here, let the user in %s subscribe to %s",
			a.Name, a.ID, a.key, p.keys.config.Creds, errorSubject)
	}
	return refuse("the servers place no login in account %s: %s", a.Name, reason)
}

// checkSystem refuses the system account's key. Who is placed there reaches the servers.
func (p *probe) checkSystem(ctx context.Context, a account) error {
	if p.keys.system != nil {
		return nil // then it is known which account that is
	}
	inbox := "_INBOX_" + rand.Text()
	claims := nothing(a)
	claims.Permissions = jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{systemSubject}}, Sub: jwt.Permission{Allow: jwt.StringList{inbox + ".>"}},
	}
	_, nc, err := p.login(ctx, claims, a.Signer, nats.CustomInboxPrefix(inbox))
	if err != nil {
		p.warn("whether account %s is the system account was not checked: a login failed (%s)", a.Name, plain(err))
		return ctx.Err()
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, reasonTime)
	defer cancel()
	if _, err := nc.RequestWithContext(ctx, systemSubject, nil); err != nil {
		return nil //nolint:nilerr // nobody there answers, as it should be
	}
	return refuse("account %s (%s) reaches the servers' own services: it is the system account, and who logs in there rules them. "+
		"Leave it out and destroy %s. If it only imports them, name --system-creds, so that the two can be told apart", a.Name, a.ID, a.key)
}

// bystander takes the logins of another service's self-check, and leaves them unanswered
// until their time is over: that service answers them itself.
type bystander struct{ issuer string } // public key

func (bystander) Name() string { return "check" }

// Takes what a holder of AUTH's key has made.
func (b bystander) Takes(request *callout.Request) bool {
	rest, own := strings.CutPrefix(request.User, checkPrefix)
	if !own {
		return false
	}
	seconds, _, _ := strings.Cut(rest, ".")
	until, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || time.Now().Unix() > until || time.Until(time.Unix(until, 0)) > checkLife {
		return false
	}
	proof, err := base64.RawURLEncoding.DecodeString(request.Password.Reveal())
	if err != nil {
		return false
	}
	key, err := nkeys.FromPublicKey(b.issuer)
	return err == nil && key.Verify([]byte(request.User), proof) == nil
}

// Authorize lets nobody in.
func (bystander) Authorize(ctx context.Context, _ *callout.Request) (*callout.Grant, error) {
	select {
	case <-ctx.Done():
	case <-time.After(standTime):
	}
	return nil, fault.New(fault.Refused, "a login of another replica's self-check, which has answered it itself")
}
