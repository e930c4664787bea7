//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"keyhall.dev/keyhall/client"
)

const (
	sayRoom    = "bench"
	sayCount   = 200 // messages of one run, one after the other
	sayWarmUp  = 20
	sayPatient = 10 * time.Second
)

// say is the time from a member's saying something to another member's having it, verified
// and opened: through the hub's stream and back. Both members are in this process, with a
// connection each; the hub is in another.
func say(ctx context.Context, s *stage) ([]Result, error) {
	hall, err := s.hall(ctx)
	if err != nil {
		return nil, err
	}
	note(s.log, "say: %d × %d messages", s.runs, sayCount)
	for _, args := range [][]string{{"room", "create", sayRoom}, {"room", "grant", sayRoom, "bob"}} {
		if _, err := hall.alice.keyhall(ctx, args...); err != nil {
			return nil, err
		}
	}
	alice, leaveAlice, err := hall.alice.enter(ctx, sayRoom)
	if err != nil {
		return nil, err
	}
	defer leaveAlice()
	bob, leaveBob, err := hall.bob.enter(ctx, sayRoom)
	if err != nil {
		return nil, err
	}
	defer leaveBob()
	go drain(alice)
	if _, err := sayAll(ctx, alice, bob, sayWarmUp); err != nil {
		return nil, err
	}
	var middle, slow []float64
	for range s.runs {
		took, err := sayAll(ctx, alice, bob, sayCount)
		if err != nil {
			return nil, err
		}
		middle, slow = append(middle, quantile(took, 0.5)), append(slow, quantile(took, 0.99))
	}
	return []Result{
		bounded("say-p50", "ms", middle, median(middle), noLimit),
		bounded("say-p99", "ms", slow, median(slow), noLimit),
	}, nil
}

// enter opens a session of the member in a room.
func (m *member) enter(ctx context.Context, room string) (*client.Session, func(), error) {
	profile, err := client.OpenProfile(m.home)
	if err != nil {
		return nil, nil, err
	}
	c, err := client.Connect(ctx, profile)
	if err != nil {
		return nil, nil, err
	}
	session, err := c.Enter(ctx, 0, room)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return session, func() { session.Close(); c.Close() }, nil
}

// drain takes what comes back to who said it, until the session ends.
func drain(session *client.Session) {
	for range session.Messages() { //nolint:revive // what was said is known
	}
}

// sayAll has one say something and the other hear it, count times, and gives the times in
// milliseconds.
func sayAll(ctx context.Context, speaker, listener *client.Session, count int) ([]float64, error) {
	took := make([]float64, 0, count)
	said := make(chan error, 1)
	for i := range count {
		text := "a sentence of about the usual length, number " + strconv.Itoa(i)
		began := time.Now()
		go func() {
			_, err := speaker.Say(ctx, sayRoom, text)
			said <- err
		}()
		heard, err := hear(ctx, listener, text)
		if err = errors.Join(err, <-said); err != nil { // stored: the next one is not in its way
			return nil, err
		}
		took = append(took, float64(heard.Sub(began).Microseconds())/1000)
	}
	return took, nil
}

func hear(ctx context.Context, listener *client.Session, text string) (time.Time, error) {
	select {
	case message := <-listener.Messages():
		if message.Text != text {
			return time.Time{}, fmt.Errorf("%q was said, and %q heard", text, message.Text)
		}
		return time.Now(), nil
	case err := <-listener.Problems():
		return time.Time{}, err
	case <-time.After(sayPatient):
		return time.Time{}, fmt.Errorf("%q was said and never heard", text)
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}
