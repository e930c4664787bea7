package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	providerTime = 15 * time.Second // for one request to the provider
	askAgain     = 5 * time.Second  // after it did not answer
	startLife    = 10 * time.Minute // for somebody to sign in there
	whoLife      = 5 * time.Minute  // to use what came of it

	startCookie = "keyhall_oidc"
	whoCookie   = "keyhall_provider"
	oidcPath    = "/api/oidc/"

	maxPath = 512 // bytes of a path to come back to
)

// Provider is the host's identity provider (OpenID Connect). It says who somebody is, and
// brings no key.
type Provider struct {
	Issuer string // URL
	Client string // id of the hub there
	Secret string // of that client; empty for a public one
	Name   string // for people

	mu     sync.Mutex
	known  *oidc.Provider
	failed time.Time // when it was asked the last time, and did not answer
}

// discovered is the provider's own account of itself, asked for when it is first needed, so
// that a hub starts while its provider does not answer.
func (p *Provider) discovered(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	if time.Since(p.failed) < askAgain { // those who waited meanwhile do not ask one after the other
		return nil, fault.New(fault.Unavailable, "%s does not answer; sign in another way, or try again later", p.Name)
	}
	// Its keys are fetched later, with the context that it is made with.
	found, err := oidc.NewProvider(p.client(context.WithoutCancel(ctx)), p.Issuer)
	if err != nil {
		p.failed = time.Now()
		return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer; sign in another way, or try again later", p.Name)
	}
	p.known = found
	return found, nil
}

// client has requests to the provider end in time.
func (p *Provider) client(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, &http.Client{Timeout: providerTime})
}

func (p *Provider) config(known *oidc.Provider, v *visit) oauth2.Config {
	scheme := "http://"
	if v.secure {
		scheme = "https://"
	}
	return oauth2.Config{
		ClientID: p.Client, ClientSecret: p.Secret, Endpoint: known.Endpoint(),
		RedirectURL: scheme + v.Host + oidcPath + "callback", Scopes: []string{oidc.ScopeOpenID},
	}
}

// away is what a browser keeps, sealed, while its person is at the provider.
type away struct{ State, Nonce, Verifier, To string }

// came is who came back, sealed: what the provider calls them, as a hash.
type came struct{ Who string }

type whoAnswer struct {
	Account string `json:"account,omitempty"`
	Handle  string `json:"handle,omitempty"`
}

type boundAnswer struct {
	Bound bool `json:"bound"`
}

func (s *Service) provider() (*Provider, error) {
	if s.Provider == nil {
		return nil, fault.New(fault.NotFound, "this hub has no identity provider")
	}
	return s.Provider, nil
}

// startProvider sends a browser to the provider. What has to match when it comes back, it
// takes along in a cookie.
func (s *Service) startProvider(v *visit) (any, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	to, err := safePath(v.URL.Query().Get("to"))
	if err != nil {
		return nil, err
	}
	known, err := p.discovered(v.Context())
	if err != nil {
		return nil, err
	}
	trip := away{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), To: to}
	s.keep(v, startCookie, sealNote(s.tickets, startCookie, startLife, trip), startLife, http.SameSiteLaxMode)
	config := p.config(known, v)
	return goTo(config.AuthCodeURL(trip.State, oidc.Nonce(trip.Nonce), oauth2.S256ChallengeOption(trip.Verifier))), nil
}

// endProvider takes somebody who comes back. Whatever went wrong, the page that they come back
// to says so: there is no cookie then.
func (s *Service) endProvider(v *visit) (any, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	text := s.spend(v, startCookie)
	trip, err := openNote[away](s.tickets, startCookie, text)
	if err != nil {
		return goTo("/"), nil //nolint:nilerr // nobody was sent from here
	}
	who, err := p.redeem(v, trip)
	if err != nil {
		s.Logger.Warn("a login at the identity provider failed", "error", err)
		return goTo(trip.To), nil
	}
	s.keep(v, whoCookie, sealNote(s.tickets, whoCookie, whoLife, came{who}), whoLife, http.SameSiteStrictMode)
	return goTo(trip.To), nil
}

// redeem has the provider say who came back, as a hash of its own name for them.
func (p *Provider) redeem(v *visit, trip away) (string, error) {
	query := v.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(trip.State)) != 1 {
		return "", fault.New(fault.Refused, "another login than the one that was begun")
	}
	if query.Get("error") != "" || query.Get("code") == "" {
		return "", fault.New(fault.Refused, "the provider let nobody in")
	}
	known, err := p.discovered(v.Context())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(v.Context(), providerTime)
	defer cancel()
	config := p.config(known, v)
	token, err := config.Exchange(p.client(ctx), query.Get("code"), oauth2.VerifierOption(trip.Verifier))
	if err != nil {
		return "", err
	}
	text, is := token.Extra("id_token").(string)
	if !is {
		return "", fault.New(fault.Refused, "the provider sent no ID token")
	}
	claims, err := known.Verifier(&oidc.Config{ClientID: p.Client}).Verify(ctx, text)
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(trip.Nonce)) != 1 {
		return "", fault.New(fault.Refused, "an ID token for another login")
	}
	sum := sha256.Sum256([]byte(claims.Issuer + "\x00" + claims.Subject))
	return hex.EncodeToString(sum[:]), nil
}

// whoAtProvider says whose the provider's login is, once.
func (s *Service) whoAtProvider(v *visit) (any, error) {
	who, err := s.cameBack(v)
	if err != nil {
		return nil, err
	}
	account, err := s.Store.bound(v.Context(), who)
	if err != nil || account == "" {
		return whoAnswer{}, err
	}
	person, err := s.People.Person(v.Context(), account)
	if err != nil {
		return nil, err
	}
	return whoAnswer{account, person.State.Handle}, nil
}

// bindProvider makes the provider's login the person's.
func (s *Service) bindProvider(v *visit) (any, error) {
	who, err := s.cameBack(v)
	if err != nil {
		return nil, err
	}
	before, err := s.Store.boundTo(v.Context(), v.session.Account)
	if err != nil || before == who {
		return none{}, err
	}
	if before != "" {
		return nil, fault.New(fault.Conflict, "you have another login there already; remove it first")
	}
	return none{}, s.Store.bind(v.Context(), who, v.session.Account)
}

func (s *Service) boundProvider(v *visit) (any, error) {
	who, err := s.Store.boundTo(v.Context(), v.session.Account)
	return boundAnswer{who != ""}, err
}

func (s *Service) unbindProvider(v *visit) (any, error) {
	if _, err := read[none](v); err != nil {
		return nil, err
	}
	who, err := s.Store.boundTo(v.Context(), v.session.Account)
	if err != nil || who == "" {
		return none{}, err
	}
	return none{}, s.Store.unbind(v.Context(), who, v.session.Account)
}

// cameBack is who came back from the provider to this browser; the cookie is used up by it.
func (s *Service) cameBack(v *visit) (string, error) {
	if _, err := s.provider(); err != nil {
		return "", err
	}
	if _, err := read[none](v); err != nil {
		return "", err
	}
	found, err := openNote[came](s.tickets, whoCookie, s.spend(v, whoCookie))
	if err != nil {
		return "", fault.Wrap(fault.Expired, err, "nobody came back from %s, or a while ago; try again", s.Provider.Name)
	}
	return found.Who, nil
}

// keep gives a browser a cookie for what follows.
func (s *Service) keep(v *visit, name, value string, life time.Duration, site http.SameSite) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: oidcPath, MaxAge: int(life / time.Second), HttpOnly: true, Secure: v.secure, SameSite: site,
	})
}

// spend takes a cookie away, and returns what it held. Of two none is believed: somebody else may have put one there.
func (s *Service) spend(v *visit, name string) string {
	found := v.CookiesNamed(name)
	if len(found) == 0 {
		return ""
	}
	http.SetCookie(v.w, &http.Cookie{Name: name, Path: oidcPath, MaxAge: -1, HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteLaxMode})
	if len(found) > 1 {
		return ""
	}
	return found[0].Value
}

// safePath is a path of this origin, and cannot be read as anything else.
func safePath(text string) (string, error) {
	wrong := fault.New(fault.Malformed, "to is a path of this hub")
	if text == "" {
		return "/", nil
	}
	if len(text) > maxPath || text[0] != '/' || strings.HasPrefix(text, "//") ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }) {
		return "", wrong
	}
	at, err := url.Parse(text)
	if err != nil || at.IsAbs() || at.Host != "" || at.User != nil || strings.HasPrefix(at.Path, "//") || strings.Contains(at.Path, "\\") {
		return "", wrong
	}
	return text, nil
}

func random() string {
	var bytes [32]byte
	rand.Read(bytes[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(bytes[:])
}
