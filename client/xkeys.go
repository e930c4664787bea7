package client

import (
	"bytes"
	"errors"
	"os"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// readOlder reads the person's earlier xkeys; most profiles have none.
func (p *Profile) readOlder() error {
	seeds, err := p.seed(olderFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.older = nil
	for line := range bytes.Lines(seeds) {
		key, err := trust.ParseXKeySeed(bytes.TrimSpace(line))
		if err != nil {
			return p.damaged(olderFile, err)
		}
		p.older = append(p.older, key)
	}
	return nil
}

// xkeys are all of the person's, newest first.
func (p *Profile) xkeys() []*trust.XKey { return append([]*trust.XKey{p.person}, p.older...) }

// keepXKeys writes the person's xkeys, newest first: the earlier ones before the newest, so
// that none is lost on the way.
func (p *Profile) keepXKeys(keys []*trust.XKey) error {
	var older []byte
	for _, key := range keys[1:] {
		older = append(append(older, key.Seed()...), '\n')
	}
	if len(older) > 0 {
		if err := writePrivate(p.path(olderFile), older); err != nil {
			return err
		}
	}
	if err := writePrivate(p.path(personFile), keys[0].Seed()); err != nil {
		return err
	}
	p.person, p.older = keys[0], keys[1:]
	return nil
}

// unbox opens a box that was sealed to the person, by whichever of their xkeys.
func (p *Profile) unbox(purpose string, context, box []byte) ([]byte, error) {
	for _, key := range p.xkeys() {
		plaintext, err := trust.Unbox(key, purpose, context, box)
		if !errors.Is(err, trust.ErrBox) {
			return plaintext, err
		}
	}
	return nil, trust.ErrBox
}

// openEpoch opens the person's box of an epoch key.
func (p *Profile) openEpoch(room string, commitment event.Hash, box []byte) (*event.EpochKey, error) {
	for _, own := range p.xkeys() {
		key, err := event.OpenEpochKey(own, room, commitment, box)
		if !errors.Is(err, trust.ErrBox) {
			return key, err
		}
	}
	return nil, trust.ErrBox
}
