// Package signin is the hub's side of signing in from a browser (docs/protocol/web.md): names
// and passwords, passkeys, the host's identity provider, sessions, and the places where a
// device that is to be linked meets one of its person's. It offers HTTP routes to browsers and
// services to members, and never has a key of anybody's: what it keeps and hands out is sealed.
//
// A browser's request goes through http.go, which refuses what a page of this origin would not
// send, finds the session of its cookie, and hands it to one of the routes there.
package signin

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/throttle"
	"keyhall.dev/keyhall/trust"
)

// Service is the hub's side of signing in.
type Service struct {
	Hub      *trust.Hub
	People   *people.View
	Ledger   *ledger.Ledger
	Store    *Store
	Browsers *browsers.Sessions
	Provider *Provider // nil: the host has none
	Front    Front
	Demo     bool // a throw-away hub, and said to be one
	Throttle throttle.Settings
	Logger   *slog.Logger

	links    *links
	tickets  *tickets
	throttle *throttle.Throttle
	paces    *paces
}

// Front is what stands between the service and the network.
type Front interface {
	// From is the address that a request comes from.
	From(r *http.Request) netip.Addr
	// IsSecure reports whether the browser came by https.
	IsSecure(r *http.Request) bool
	// SameOrigin reports whether a request comes from a page of this origin, or from no page.
	SameOrigin(r *http.Request) bool
}

// New makes the service.
func New(s Service) *Service {
	s.links, s.tickets, s.paces = newLinks(time.Now), newTickets(time.Now), newPaces()
	s.throttle = throttle.New(s.Throttle.WithDefaults())
	return &s
}
