package event

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// Check names one thing that is judged about an event.
type Check string

// The checks, in the order in which they are made.
const (
	CheckForm      Check = "form"      // everything is there once and says the same
	CheckToken     Check = "token"     // the access token can be read, and its signatures hold
	CheckDigest    Check = "digest"    // the hash function is the one that is taken
	CheckBody      Check = "body"      // the body has the hash that was signed
	CheckSignature Check = "signature" // the device signed it
	CheckDevice    Check = "device"    // the access token is this device's, of this account
	CheckBelieved  Check = "believed"  // somebody who is trusted vouches for the account
	CheckValid     Check = "valid"     // the access token covers the time of the event
	CheckRevoked   Check = "revoked"   // the device's word was not taken back
	CheckAudience  Check = "audience"  // the event is for this reader
	CheckTime      Check = "time"      // it is from now, or from when it was stored
	CheckTrail     Check = "trail"     // each event of the trail is the cause of the next
	CheckHop       Check = "hop"       // an event of the trail, as far as it travels, holds
)

// verdict is what one check says.
type verdict struct {
	check  Check
	hop    int     // from 1, of an event of the trail
	access *Access // where it is about one and that could be read
	err    error
}

// firstWrong is the error of the first check that fails; those behind it are not made.
func firstWrong(verdicts iter.Seq[verdict]) error {
	for one := range verdicts {
		if one.err != nil {
			return one.err
		}
	}
	return nil
}

// verdicts makes every check of an envelope, in order. Verify stops at the first that fails
// and Explain at none; there is no other list of them.
func (m *TokenManager) verdicts(ctx context.Context, v *Envelope, at Moment, from AccessSource) iter.Seq[verdict] {
	return func(yield func(verdict) bool) {
		access, err := m.resolve(ctx, v.Access, v.Which, from)
		if !yield(verdict{check: CheckToken, access: access, err: err}) {
			return
		}
		_ = all(m.aboutBytes(v.Event), yield) &&
			all(m.aboutPublisher(v.Event, access, at), yield) &&
			all(m.aboutTrail(ctx, v, from), yield)
	}
}

// all hands on verdicts and reports whether to go on.
func all(verdicts iter.Seq[verdict], yield func(verdict) bool) bool {
	for one := range verdicts {
		if !yield(one) {
			return false
		}
	}
	return true
}

// aboutBytes checks that an event is the one that was signed.
func (m *TokenManager) aboutBytes(e *Event) iter.Seq[verdict] {
	return func(yield func(verdict) bool) {
		_ = yield(verdict{check: CheckDigest, err: m.checkDigest(e)}) &&
			yield(verdict{check: CheckBody, err: e.checkBody()}) &&
			yield(verdict{check: CheckSignature, err: m.checkSignature(e)})
	}
}

// aboutPublisher checks who signed an event, when, and for whom. access may be nil.
func (m *TokenManager) aboutPublisher(e *Event, access *Access, at Moment) iter.Seq[verdict] {
	return func(yield func(verdict) bool) {
		_ = m.checkPublisher(e, access, yield) &&
			yield(verdict{check: CheckRevoked, err: m.checkRevoked(e, at)}) &&
			yield(verdict{check: CheckAudience, err: m.checkAudience(e)}) &&
			yield(verdict{check: CheckTime, err: m.checkTime(e, at)})
	}
}

// checkPublisher judges whether its publisher might publish when the event was made. It
// reports whether to go on.
func (m *TokenManager) checkPublisher(e *Event, access *Access, yield func(verdict) bool) bool {
	if access == nil {
		return yield(verdict{check: CheckDevice, err: fmt.Errorf("%w: there is none", ErrAccess)}) &&
			yield(verdict{check: CheckBelieved}) && yield(verdict{check: CheckValid}) // nobody comes here but who explains
	}
	return yield(verdict{check: CheckDevice, access: access, err: access.names(e)}) &&
		yield(verdict{check: CheckBelieved, access: access, err: m.believe(access)}) &&
		yield(verdict{check: CheckValid, access: access, err: access.GoodAt(e.Time, m.rules.Skew)})
}

// aboutTrail checks what an event came out of.
func (m *TokenManager) aboutTrail(ctx context.Context, v *Envelope, from AccessSource) iter.Seq[verdict] {
	return func(yield func(verdict) bool) {
		if !yield(verdict{check: CheckTrail, err: v.Trail.follow(v.Event, m.rules.Skew)}) {
			return
		}
		for i, link := range v.Trail {
			access, err := m.resolve(ctx, "", link.Access, from)
			if err == nil {
				err = firstWrong(m.aboutLink(link.Event, access))
			}
			if err != nil {
				err = fmt.Errorf("hop %d of its trail: %w", i+1, err)
			}
			if !yield(verdict{check: CheckHop, hop: i + 1, access: access, err: err}) {
				return
			}
		}
	}
}

// aboutLink checks an event of a trail, which comes without its body: whoever made the next
// one had it before them in time, or is not to be trusted either.
func (m *TokenManager) aboutLink(e *Event, access *Access) iter.Seq[verdict] {
	return func(yield func(verdict) bool) {
		_ = yield(verdict{check: CheckDigest, err: m.checkDigest(e)}) &&
			yield(verdict{check: CheckSignature, err: m.checkSignature(e)}) &&
			m.checkPublisher(e, access, yield) &&
			yield(verdict{check: CheckRevoked, err: m.checkRevoked(e, Moment{Stored: e.Time})})
	}
}

func (m *TokenManager) checkDigest(e *Event) error {
	if e.Digest != m.rules.Digest {
		return fmt.Errorf("%w: %s, and %s is taken", ErrDigest, e.Digest, m.rules.Digest)
	}
	return nil
}

// checkBody verifies the body's hash.
func (e *Event) checkBody() error {
	if e.Digest.sum(e.Body) != e.bodyHash {
		return ErrBody
	}
	return nil
}

func (m *TokenManager) checkAudience(e *Event) error {
	if e.Audience != "" && !slices.Contains(m.rules.Is, e.Audience) {
		return fmt.Errorf("%w: it is for %q", ErrNotMeant, e.Audience)
	}
	return nil
}

// names returns an error unless the token is that of the event's device and author.
func (a *Access) names(e *Event) error {
	if a.Device != e.Device || a.Account != e.Author {
		return fmt.Errorf("%w: it is another publisher's", ErrAccess)
	}
	return nil
}
