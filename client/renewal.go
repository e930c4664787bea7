package client

import (
	"context"
	"time"

	natslogin "keyhall.dev/keyhall/login"
)

const (
	// sessionLife is how long the callout lets a connection to ROOMS live, where the hub
	// does not say.
	sessionLife = time.Hour
	// renewAgain is how long after a renewal that failed the next is tried.
	renewAgain = 15 * time.Second
)

// renew replaces the session's connection before the server ends it, for as long as the
// session lasts.
func (s *Session) renew() {
	wait := s.c.renewalIn()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.standing.ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = s.c.renewalIn()
		if s.replace() != nil {
			wait = min(renewAgain, wait)
		}
	}
}

// renewalIn is the time until a connection is replaced.
func (c *Client) renewalIn() time.Duration {
	life := time.Duration(c.at.document.Session) * time.Second
	if life <= 0 {
		life = sessionLife
	}
	return natslogin.RenewIn(life)
}

// hold is the session's connection for one request. It lasts until its user is done.
func (s *Session) hold() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.users.Add(1)
	return s.link
}

// replace makes a second connection, subscribed to everything, before it lets the first
// go: no message is missed, and one that comes twice has its sequence.
func (s *Session) replace() error {
	nc, err := s.connect(s.ctx)
	if err != nil {
		return err
	}
	for id, f := range s.feeds {
		if err := s.listen(nc, id, f); err != nil {
			nc.Close()
			return err
		}
	}
	flush, cancel := context.WithTimeout(s.ctx, publishTime)
	defer cancel()
	if err := nc.FlushWithContext(flush); err != nil {
		nc.Close()
		return err
	}
	s.mu.Lock()
	old := s.link
	s.link = &link{Conn: nc}
	s.mu.Unlock()
	s.tasks.Go(func() {
		defer context.AfterFunc(s.ctx, old.Close)()
		old.users.Wait()
		old.Close()
	})
	return nil
}
