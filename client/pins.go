package client

import (
	"errors"
	"os"

	"keyhall.dev/keyhall/internal/fault"
)

// Whose a handle is, is remembered when it is first seen. Handles are never given to
// another, so of two accounts that have the same the hub made one up.

const pinsFile = "people/pins.json"

// pin remembers whose handle it is, and refuses a change. What is new, keepPins writes
// down. b.mu is held.
func (b *book) pin(handle, account string) error {
	if b.pins == nil {
		pins, err := b.readPins()
		if err != nil {
			return err
		}
		b.pins = pins
	}
	switch b.pins[handle] {
	case account:
		return nil
	case "":
		b.pins[handle], b.pinned = account, true
		return nil
	}
	return anotherKey(handle, account, b.pins[handle])
}

// handleOf is the handle of an account whose chain is known, "" for one that has another's.
func (b *book) handleOf(account string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.load(account)
	if err != nil || known.Person.Seq == 0 || b.pin(known.Person.Handle, account) != nil {
		return ""
	}
	return known.Person.Handle
}

func anotherKey(handle, account, before string) error {
	return fault.Wrap(fault.Refused, ErrFork,
		"the hub says that %s has another key than before (%s, it was %s); do not trust it",
		handle, short(account), short(before))
}

func (b *book) readPins() (map[string]string, error) {
	pins := make(map[string]string)
	if err := b.c.profile.read(pinsFile, &pins); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return pins, nil
}

// keepPins writes down whose handles became known. What another process of the member has
// seen meanwhile counts.
func (b *book) keepPins() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.pinned {
		return nil
	}
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	pins, err := b.readPins()
	if err != nil {
		return err
	}
	for handle, account := range b.pins {
		if before := pins[handle]; before != "" && before != account {
			b.pins[handle] = before
			return anotherKey(handle, account, before)
		}
		pins[handle] = account
	}
	b.pinned = false
	return b.c.profile.write(pinsFile, pins)
}

// settlePin makes a handle an account's, whosever it was before: words were compared. b.mu
// is held.
func (b *book) settlePin(handle, account string) error {
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	pins, err := b.readPins()
	if err != nil {
		return err
	}
	pins[handle] = account
	if b.pins != nil {
		b.pins[handle] = account
	}
	return b.c.profile.write(pinsFile, pins)
}
