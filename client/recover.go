package client

import (
	"context"
	"crypto/subtle"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// RecoverRequest says who comes back, and where.
type RecoverRequest struct {
	URL    string // the hub's HTTP origin
	Code   string // the recovery code
	Device string // name of this device
}

// Recovered is what came back.
type Recovered struct {
	Profile  *Profile           `json:"-"`
	Revoked  string             `json:"revoked,omitempty"` // name of the device that was lost, if it was revoked now
	Devices  []string           `json:"devices"`           // names of other devices, which go on to be good
	Catalogs []RecoveredCatalog `json:"catalogs"`
	Problems []string           `json:"problems"` // rooms that keep their key, a line each
}

// RecoveredCatalog is a catalog of the backup. Where its folder was not found, a catalog of
// the same name that is added takes its place, and its shares.
type RecoveredCatalog struct {
	Name  string `json:"name"`
	Dir   string `json:"dir"`
	Found bool   `json:"found"`
}

// comeback is a recovery on its way; it is kept in the profile until it is whole.
type comeback struct {
	Lost     string        `json:"lost"`           // key of the device that made the backup
	XKey     string        `json:"xkey,omitempty"` // the new one, once it is made
	Seq      uint64        `json:"seq"`
	Head     event.Hash    `json:"head"`
	Catalogs []catalogFile `json:"catalogs"`
}

const comebackFile = "recovery.json"

// Recover makes the device at dir a device of the person whose recovery code it is, and
// ends the one that was lost. What it does can be done again: a recovery that was
// interrupted goes on where it was.
func Recover(ctx context.Context, dir string, r RecoverRequest) (*Recovered, error) {
	code, err := trust.ParseRecovery(r.Code)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%w", err)
	}
	name, err := trust.Name(r.Device)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the device name %q is %w", r.Device, err)
	}
	p := &Profile{dir: dir}
	if err := p.free(); err != nil {
		return nil, err
	}
	at, err := discover(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	if trust.Fingerprint(at.hub.ID) != code.Hub { // public, both
		return nil, fault.New(fault.Refused,
			"the hub at %s is not the one this recovery code is for; nothing was sent to it", r.URL)
	}
	found, err := fetchBackup(ctx, at, r.URL, code)
	if err != nil {
		return nil, err
	}
	if err := p.takeKeys(found); err != nil {
		return nil, err
	}
	c, way, err := p.comeIn(ctx, at, r.URL, name, found)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.settleIn(ctx, code, way)
}

// free refuses a folder in which somebody has joined, but for a recovery on its way.
func (p *Profile) free() error {
	err := p.read(profileFile, &p.Settings)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.path(comebackFile)); err == nil {
		return nil
	}
	return fault.New(fault.Taken, "%s has already joined a hub as %s; choose another folder with --home or KEYHALL_HOME",
		p.dir, p.Settings.Handle)
}

// fetchBackup gets the backup from the hub, over a connection that may do nothing else, and
// opens it.
func fetchBackup(ctx context.Context, at *discovered, origin string, code *trust.Recovery) (*backup, error) {
	key := code.Key()
	nc, err := dial(ctx, at, origin, login{
		name: "keyhall recovery", user: "recover " + key.String(), jwt: at.document.Sentinel, key: key,
	})
	if fault.Is(err, fault.Refused) {
		return nil, fault.Wrap(fault.Refused, err, "the hub has no backup for this recovery code: it may have been "+
			"replaced by a newer one, whose code you need")
	}
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	var answer api.RecoveryBackup
	if _, err := ask(ctx, nc, "recovery."+key.String()+".get", struct{}{}, &answer); err != nil {
		return nil, err
	}
	found, err := openBackup(at.hub.ID, code, answer.Event)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "what the hub has under this recovery code is not your backup; ask its host")
	}
	return found, nil
}

// openBackup verifies a backup's signatures, opens it, and checks that what is in it is of
// one person, who is its author.
func openBackup(hubID string, code *trust.Recovery, data []byte) (*backup, error) {
	ev, err := event.Decode(data)
	if err != nil {
		return nil, err
	}
	if err := ev.CheckRecovery(hubID, code.Key().String()); err != nil {
		return nil, err
	}
	text, err := code.Open(hubID, ev.Body)
	if err != nil {
		return nil, err
	}
	found := new(backup)
	if err := trust.ParseCanonical(text, found); err != nil {
		return nil, err
	}
	identity, err := trust.ParseSeed(trust.Account, []byte(found.Identity))
	if err != nil {
		return nil, err
	}
	if identity.Public() != ev.Author || found.Account != identity.String() || found.Hub != hubID || len(found.XKeys) == 0 {
		return nil, trust.ErrBackup
	}
	return found, nil
}

// takeKeys writes the keys of a backup into the profile, with a device key of its own.
func (p *Profile) takeKeys(found *backup) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", p.dir, errors.Unwrap(err))
	}
	if content, err := os.ReadDir(p.dir); err == nil && len(content) == 0 {
		_ = os.Chmod(p.dir, 0o700) // as for join
	}
	if err := checkPrivate(p.dir); err != nil {
		return err
	}
	seed, err := os.ReadFile(p.path(identityFile))
	switch {
	case err == nil && subtle.ConstantTimeCompare(seed, []byte(found.Identity)) != 1:
		return fault.New(fault.Taken, "the folder %s holds another member's keys; choose another with --home or KEYHALL_HOME", p.dir)
	case err == nil:
		if err := p.readKeys(); err == nil {
			return p.addXKeys(found) // an earlier try, whose keys may be ahead of the backup
		}
	}
	if _, err := os.Stat(p.path(deviceFile)); errors.Is(err, os.ErrNotExist) {
		if err := writePrivate(p.path(deviceFile), trust.NewKeyPair(trust.Device).Seed()); err != nil {
			return err
		}
	}
	if err := p.addXKeys(found); err != nil {
		return err
	}
	if err := writePrivate(p.path(identityFile), []byte(found.Identity)); err != nil {
		return err
	}
	return p.readKeys()
}

// addXKeys adds the xkeys of a backup to those that the profile has.
func (p *Profile) addXKeys(found *backup) error {
	var keys []*trust.XKey
	if p.person != nil {
		keys = p.xkeys()
	}
	for _, seed := range found.XKeys {
		key, err := trust.ParseXKeySeed([]byte(seed))
		if err != nil {
			return fault.Wrap(fault.Refused, err, "the backup is not whole; ask for help before you try again")
		}
		same := func(k *trust.XKey) bool { return k.String() == key.String() }
		if !slices.ContainsFunc(keys, same) {
			keys = append(keys, key)
		}
	}
	return p.keepXKeys(keys)
}

// comeIn logs in to the person's account as a new device, which the identity vouches for,
// and has it entered into the person's chain.
func (p *Profile) comeIn(
	ctx context.Context, at *discovered, origin, name string, found *backup,
) (*Client, *comeback, error) {
	now := time.Now()
	token, err := trust.IssueDevice(p.identity, p.device.Public(), name, now, now.Add(tokenLife))
	if err != nil {
		return nil, nil, err
	}
	way := &comeback{Lost: found.Device, Seq: found.Seq, Head: found.Head, Catalogs: found.Catalogs}
	if err := p.read(comebackFile, way); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	p.settle(at, origin, found.Handle, token)
	c, err := Connect(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	if err := c.enlist(ctx, way, token); err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, way, nil
}

// enlist adds this device to the chain, signed by the identity: no living device is left.
// The profile is a member's from then on.
func (c *Client) enlist(ctx context.Context, way *comeback, token *trust.DeviceToken) error {
	own, err := c.me(ctx)
	if err != nil {
		return err
	}
	if own.Person.Places[way.Head] != way.Seq {
		return fault.Wrap(fault.Refused, ErrFork,
			"the hub shows another past of you than when the backup was made; do not trust it")
	}
	p := c.profile
	known := own.Person.Devices[p.device.String()]
	switch {
	case known != nil && known.Revoked != 0:
		return fault.New(fault.Refused, "this device was revoked meanwhile; recover into an empty folder")
	case known != nil: // by an earlier try
		p.Settings.Device, p.Settings.Token = known.Name, known.Token
	default:
		for key, fact := range own.Person.Devices {
			if fact.Name == token.Name && fact.Revoked == 0 && key != way.Lost {
				return fault.New(fault.Taken, "you have another device called %s; choose a name with --device", token.Name)
			}
		}
	}
	p.Settings.Handle = own.Person.Handle
	// The note comes first: a profile without it would pass for whole.
	if err := p.write(comebackFile, way); err != nil {
		return err
	}
	if known == nil {
		_, err = c.appendBy(ctx, p.identity, "people", chain.AddDevice, func(*page) (any, error) {
			return chain.DeviceBody{Token: token.Text}, nil
		})
	}
	if err != nil {
		return err
	}
	return p.write(profileFile, p.Settings)
}

// settleIn ends the lost device and brings back what hung on it.
func (c *Client) settleIn(ctx context.Context, code *trust.Recovery, way *comeback) (*Recovered, error) {
	result := &Recovered{Profile: c.profile, Devices: []string{}, Problems: []string{}}
	var err error
	if result.Revoked, err = c.revokeLost(ctx, way.Lost); err != nil {
		return nil, c.unfinished(err)
	}
	if result.Catalogs, err = c.profile.takeCatalogs(way.Catalogs); err != nil {
		return nil, c.unfinished(err)
	}
	if err := c.rotateXKey(ctx, code, way); err != nil {
		return nil, c.unfinished(err)
	}
	if result.Problems, err = c.renewEpochs(ctx); err != nil {
		return nil, c.unfinished(err)
	}
	devices, err := c.Devices(ctx)
	if err != nil {
		return nil, c.unfinished(err)
	}
	for _, device := range devices {
		if !device.Revoked && !device.This {
			result.Devices = append(result.Devices, device.Name)
		}
	}
	if err := os.Remove(c.profile.path(comebackFile)); err != nil {
		return nil, c.unfinished(err)
	}
	return result, nil
}

func (c *Client) unfinished(err error) error {
	return fault.Wrap(fault.CodeOf(err), err, "you are back, but not everything is done (%v); run the same command again", err)
}

// revokeLost revokes the device that made the backup, signed by the identity, and returns
// its name; "" if it was revoked before.
func (c *Client) revokeLost(ctx context.Context, lost string) (string, error) {
	own, err := c.me(ctx)
	if err != nil {
		return "", err
	}
	fact := own.Person.Devices[lost]
	if fact == nil || fact.Revoked != 0 || lost == c.profile.device.String() {
		return "", nil
	}
	_, err = c.appendBy(ctx, c.profile.identity, "people", chain.RevokeDevice, func(*page) (any, error) {
		return chain.RevokeDeviceBody{Device: lost}, nil
	})
	return fact.Name, err
}

// rotateXKey replaces the person's xkey, of which the lost device has the seed. The new
// seed is in the backup before anybody seals to it: from then on the code brings it back.
func (c *Client) rotateXKey(ctx context.Context, code *trust.Recovery, way *comeback) error {
	p := c.profile
	if way.XKey == "" || way.XKey != p.person.String() {
		if err := p.keepXKeys(append([]*trust.XKey{trust.NewXKey()}, p.xkeys()...)); err != nil {
			return err
		}
		way.XKey = p.person.String()
		if err := p.write(comebackFile, way); err != nil {
			return err
		}
	}
	if _, err := c.putBackup(ctx, code); err != nil {
		return err
	}
	own, err := c.me(ctx)
	if err != nil || own.Person.XKey == way.XKey {
		return err
	}
	_, err = c.append(ctx, "people", chain.RotateXKey, func(*page) (any, error) {
		return chain.XKeyBody{XKey: way.XKey}, nil
	})
	return err
}

// renewEpochs begins a new epoch in every sealed room in which the member may write: of the
// current ones the lost device has the keys. problems says where it did not work.
func (c *Client) renewEpochs(ctx context.Context) (problems []string, err error) {
	problems = []string{}
	rooms, err := c.listRooms(ctx)
	if err != nil {
		return nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	for _, room := range rooms {
		if room.Kind != chain.Sealed || room.Role == "" {
			continue
		}
		if !room.Role.MayWrite() {
			problems = append(problems, room.Room+": you only read there, so its key stays until somebody else changes it")
			continue
		}
		_, err := c.rooms.append(ctx, room.ID, chain.Epoch, func(ctx context.Context, known *roomPage) (any, error) {
			return c.rooms.newEpoch(ctx, known, c.rooms.name(known))
		})
		if fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			problems = append(problems, room.Room+": "+err.Error())
		}
	}
	return problems, nil
}

// takeCatalogs brings the catalogs of a backup back: those whose folder is here at once, the
// others when their folder is added under the old name.
func (p *Profile) takeCatalogs(files []catalogFile) ([]RecoveredCatalog, error) {
	awaited, err := p.awaited()
	if err != nil {
		return nil, err
	}
	catalogs := []RecoveredCatalog{}
	for _, file := range files {
		if _, err := trust.ParseID(file.ID); err != nil || !trust.IsName(file.Name) {
			continue
		}
		here := filepath.IsAbs(file.Dir) && p.checkCatalogDir(file.Dir) == nil
		if here {
			if err := p.write(catalogPath(file.ID, "catalog.json"), file); err != nil {
				return nil, err
			}
		} else {
			awaited[file.Name] = file.ID
		}
		catalogs = append(catalogs, RecoveredCatalog{Name: file.Name, Dir: file.Dir, Found: here})
	}
	if len(awaited) == 0 {
		return catalogs, nil
	}
	return catalogs, p.write(awaitedFile, awaited)
}
