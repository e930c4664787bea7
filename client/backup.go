package client

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// RecoveryCode is what a member writes down to be able to come back without any device.
// Code is a secret: it is not kept anywhere.
type RecoveryCode struct {
	Code     string    `json:"code"`
	Made     time.Time `json:"made"`
	Replaced time.Time `json:"replaced,omitzero"` // when the backup was made whose code is void now
}

// backup is what a recovery code opens (docs/protocol/recovery.md).
type backup struct {
	Hub      string        `json:"hub"`
	Account  string        `json:"account"`
	Handle   string        `json:"handle"`
	Identity string        `json:"identity"` // seed
	XKeys    []string      `json:"xkeys"`    // seeds, newest first
	Device   string        `json:"device"`   // key of the device that made it
	Seq      uint64        `json:"seq"`      // newest place of the own chain that it knew
	Head     event.Hash    `json:"head"`
	Catalogs []catalogFile `json:"catalogs"`
}

// backupNote is what a profile remembers of the newest backup it made.
type backupNote struct {
	Made     time.Time `json:"made"`
	Catalogs []string  `json:"catalogs"` // ids
}

const backupFile = "backup.json"

// MakeRecovery leaves a sealed backup of everything that is the member at the hub and
// returns the code that alone opens it. An earlier code is void from then on. Only a device
// that holds the identity can.
func (c *Client) MakeRecovery(ctx context.Context) (*RecoveryCode, error) {
	if c.profile.identity == nil {
		return nil, fault.New(fault.Refused, "only the device that holds your identity can make a recovery code")
	}
	before, err := c.backupState(ctx)
	if err != nil {
		return nil, err
	}
	code := trust.NewRecovery(c.hubID())
	made, err := c.putBackup(ctx, code)
	if err != nil {
		return nil, err
	}
	return &RecoveryCode{Code: code.Code(), Made: made, Replaced: before}, nil
}

// backupState is when the member's backup was made, as the hub says; zero for none.
func (c *Client) backupState(ctx context.Context) (time.Time, error) {
	var state api.RecoveryState
	err := c.call(ctx, "recovery.state", struct{}{}, &state)
	return state.Made, err
}

// backupText is what a backup holds now, as it is and as it is sealed into an event of at most so many bytes.
func (c *Client) backupText(ctx context.Context, most int) (*backup, []byte, error) {
	own, err := c.me(ctx)
	if err != nil {
		return nil, nil, err
	}
	content, err := c.profile.backup(c.hubID(), own)
	if err != nil {
		return nil, nil, err
	}
	text, err := trust.Canonical(content)
	if err != nil {
		return nil, nil, err
	}
	if len(text) > most-64 {
		return nil, nil, fault.New(fault.TooLarge, "you have too many catalogs for one backup")
	}
	return content, text, nil
}

// putBackup seals what there is under a code and leaves it at the hub.
func (c *Client) putBackup(ctx context.Context, code *trust.Recovery) (time.Time, error) {
	content, text, err := c.backupText(ctx, event.MaxRecovery)
	if err != nil {
		return time.Time{}, err
	}
	before, err := c.backupState(ctx)
	if err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if before.After(at.Add(trust.ClockSkew)) { // a backup of then could not be replaced until then
		return time.Time{}, fault.New(fault.Refused, "the hub says that your backup was made in the future; check both clocks")
	}
	if !at.After(before) {
		at = before.Add(time.Millisecond) // the clock of the device before was ahead of this one
	}
	ev, err := event.NewRecovery(c.hubID(), c.profile.identity, code.Key(), at, code.Seal(c.hubID(), text))
	if err != nil {
		return time.Time{}, err
	}
	if err := c.call(ctx, "recovery.put", ev.Encode(), &api.Appended{}); err != nil {
		return time.Time{}, err
	}
	note := backupNote{Made: ev.Time}
	for _, file := range content.Catalogs {
		note.Catalogs = append(note.Catalogs, file.ID)
	}
	return ev.Time, c.profile.write(backupFile, note)
}

// backup is what has to be brought back if the profile is lost.
func (p *Profile) backup(hubID string, own *page) (*backup, error) {
	files, err := p.catalogFiles()
	if err != nil {
		return nil, err
	}
	awaited, err := p.awaited()
	if err != nil {
		return nil, err
	}
	for name, id := range awaited {
		files = append(files, catalogFile{Name: name, ID: id})
	}
	b := &backup{
		Hub: hubID, Account: p.identity.String(), Handle: p.Settings.Handle, Identity: string(p.identity.Seed()),
		Device: p.device.String(), Seq: own.Person.Seq, Head: own.Person.Head, Catalogs: append([]catalogFile{}, files...),
	}
	for _, key := range p.xkeys() {
		b.XKeys = append(b.XKeys, string(key.Seed()))
	}
	return b, nil
}

// newCatalogs reports whether there are catalogs that the newest backup does not know, as
// far as this profile made it.
func (p *Profile) newCatalogs() (bool, error) {
	var note backupNote
	err := p.read(backupFile, &note)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	files, err := p.catalogFiles()
	return slices.ContainsFunc(files, func(f catalogFile) bool { return !slices.Contains(note.Catalogs, f.ID) }), err
}

const awaitedFile = "awaited.json"

// awaited are catalogs that a backup brought back and whose folders are not there yet: ids
// by name.
func (p *Profile) awaited() (map[string]string, error) {
	names := make(map[string]string)
	if err := p.read(awaitedFile, &names); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return names, nil
}

// arrived takes a catalog from those that are awaited.
func (p *Profile) arrived(name string) error {
	names, err := p.awaited()
	if err != nil || names[name] == "" {
		return err
	}
	delete(names, name)
	return p.write(awaitedFile, names)
}
