package chain

import (
	"maps"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// MaxShares bounds the live grants a person has given, and those they have accepted:
// an account JWT carries at most about a thousand imports (measured).
const MaxShares = 1000

// Shares is the fold of a person's chain as far as it says what they share and what they
// have accepted of others. It follows a Person that verified the same events.
type Shares struct {
	Seq     uint64                 `json:"seq"`
	Granted map[string]*GrantBody  `json:"granted,omitempty"` // standing grants by grant id
	Taken   map[string]*AcceptBody `json:"taken,omitempty"`   // accepted shares by grant id
}

// Apply folds in the next event of the chain; other kinds only move the place. An event
// whose body was withheld is no concern of the reader's. A failed Apply changes nothing.
func (s *Shares) Apply(ev *event.Event, withheld bool) error {
	if !withheld {
		if err := s.fold(ev); err != nil {
			return err
		}
	}
	s.Seq = ev.Seq
	return nil
}

// clone is a copy that later events do not change.
func (s *Shares) clone() *Shares {
	return &Shares{Seq: s.Seq, Granted: maps.Clone(s.Granted), Taken: maps.Clone(s.Taken)}
}

func (s *Shares) fold(ev *event.Event) error {
	switch ev.Type {
	case Grant:
		return s.grant(ev)
	case Revoke:
		body, err := Parse[RevokeBody](ev)
		if err != nil {
			return err
		}
		if known := s.Granted[body.Grant]; known == nil || known.To != body.To {
			return bad(ev.Type, "no such grant")
		}
		delete(s.Granted, body.Grant)
	case Accept:
		return s.accept(ev)
	case Decline:
		body, err := Parse[DeclineBody](ev)
		if err != nil {
			return err
		}
		if err := checkShareKeys(ev.Type, body.Grant, body.Owner); err != nil {
			return err
		}
		delete(s.Taken, body.Grant)
	}
	return nil
}

func (s *Shares) grant(ev *event.Event) error {
	body, err := Parse[GrantBody](ev)
	if err != nil {
		return err
	}
	if err := checkShareKeys(ev.Type, body.Grant, body.To); err != nil {
		return err
	}
	known := s.Granted[body.Grant]
	switch _, err := trust.ParseID(body.Catalog); {
	case err != nil:
		return bad(ev.Type, "catalog: %v", err)
	case body.To == ev.Author.Text(trust.Account):
		return bad(ev.Type, "one does not share with oneself")
	case len(body.Sealed) == 0 || len(body.Sealed) > MaxSealed:
		return bad(ev.Type, "sealed part of %d bytes", len(body.Sealed))
	case !wholeSecond(body.Expires) || (!body.Expires.IsZero() && !body.Expires.After(ev.Time)):
		return bad(ev.Type, "it expires before it begins")
	case known != nil && (known.Catalog != body.Catalog || known.To != body.To):
		return bad(ev.Type, "the grant id is in use")
	case known == nil && len(s.Granted) >= MaxShares:
		return bad(ev.Type, "more than %d shares; end some first", MaxShares)
	}
	if s.Granted == nil {
		s.Granted = make(map[string]*GrantBody)
	}
	s.Granted[body.Grant] = body
	return nil
}

func (s *Shares) accept(ev *event.Event) error {
	body, err := Parse[AcceptBody](ev)
	if err != nil {
		return err
	}
	if err := checkShareKeys(ev.Type, body.Grant, body.Owner); err != nil {
		return err
	}
	if _, err := trust.ParseID(body.Catalog); err != nil {
		return bad(ev.Type, "catalog: %v", err)
	}
	if len(s.Taken) >= MaxShares && s.Taken[body.Grant] == nil {
		return bad(ev.Type, "more than %d accepted shares; decline some first", MaxShares)
	}
	if s.Taken == nil {
		s.Taken = make(map[string]*AcceptBody)
	}
	s.Taken[body.Grant] = body
	return nil
}

func checkShareKeys(kind, grant, account string) error {
	if _, err := trust.ParseID(grant); err != nil {
		return bad(kind, "grant: %v", err)
	}
	if _, err := trust.ParsePublicKey(trust.Account, account); err != nil {
		return bad(kind, "account: %v", err)
	}
	return nil
}

// Standing reports whether the grant stands for account on catalog at now.
func (s *Shares) Standing(grant, catalog, account string, now time.Time) bool {
	g := s.Granted[grant]
	return g != nil && g.Catalog == catalog && g.To == account && (g.Expires.IsZero() || now.Before(g.Expires))
}

// ShareWith is the other person that a share's event concerns: the grantee of a grant,
// the owner of what was accepted or declined; "" for other events.
func ShareWith(ev *event.Event) string {
	switch ev.Type {
	case Grant:
		if body, err := Parse[GrantBody](ev); err == nil {
			return body.To
		}
	case Revoke:
		if body, err := Parse[RevokeBody](ev); err == nil {
			return body.To
		}
	case Accept:
		if body, err := Parse[AcceptBody](ev); err == nil {
			return body.Owner
		}
	case Decline:
		if body, err := Parse[DeclineBody](ev); err == nil {
			return body.Owner
		}
	}
	return ""
}
