package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Profile is a member's folder: keys, what was verified of others, catalogs. Only the
// member's own user may read it.
//
//	profile.json       who and where: Settings
//	keys/              identity.nk, device.nk, person.xk: seeds; older.xk: xkeys before that
//	people/<A>.json    verified chains of people, the member's own among them
//	rooms/<id>.json    verified chains of rooms
//	catalogs/<id>/     catalogs: settings and index
//	awaited.json       catalogs of a backup whose folders are not here yet
//	backup.json        what the newest backup for the recovery code holds
type Profile struct {
	dir      string
	Settings Settings

	identity *trust.KeyPair // nil on a device that does not hold it
	device   *trust.KeyPair
	person   *trust.XKey
	older    []*trust.XKey // earlier ones of the person, newest first: they open older boxes
}

// Settings are the member's place on a hub.
type Settings struct {
	URL      string `json:"url"` // the hub's HTTP origin
	Hub      string `json:"hub"` // operator JWT, as it was when joining
	Account  string `json:"account"`
	Handle   string `json:"handle"`
	Device   string `json:"device"` // device name
	Token    string `json:"token"`  // device token
	Document string `json:"document"`
}

// ErrNoProfile is the error of a folder in which nobody has joined a hub.
var ErrNoProfile = errors.New("no profile")

const (
	profileFile  = "profile.json"
	identityFile = "keys/identity.nk"
	deviceFile   = "keys/device.nk"
	personFile   = "keys/person.xk"
	olderFile    = "keys/older.xk" // a seed on each line
)

// OpenProfile reads the profile in dir. It fails with ErrNoProfile where there is none,
// and refuses one that others can read.
func OpenProfile(dir string) (*Profile, error) {
	p := &Profile{dir: dir}
	if err := p.read(profileFile, &p.Settings); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.Wrap(fault.NotFound, ErrNoProfile,
				"you have not joined a hub with this profile (%s); run keyhall join, or set KEYHALL_HOME", dir)
		}
		return nil, err
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	if err := p.readKeys(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Profile) readKeys() error {
	seed, err := p.seed(deviceFile)
	if err != nil {
		return err
	}
	if p.device, err = trust.ParseSeed(trust.Device, seed); err != nil {
		return p.damaged(deviceFile, err)
	}
	if seed, err = p.seed(personFile); err != nil {
		return err
	}
	if p.person, err = trust.ParseXKeySeed(seed); err != nil {
		return p.damaged(personFile, err)
	}
	if err := p.readOlder(); err != nil {
		return err
	}
	seed, err = p.seed(identityFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.identity, err = trust.ParseSeed(trust.Account, seed); err != nil {
		return p.damaged(identityFile, err)
	}
	return nil
}

func (p *Profile) damaged(name string, err error) error {
	return fault.Wrap(fault.Internal, err, "the key file %s is damaged; restore it from a backup", p.path(name))
}

func (p *Profile) seed(name string) ([]byte, error) {
	seed, err := os.ReadFile(p.path(name))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the key file %s cannot be read: %v", p.path(name), errors.Unwrap(err))
	}
	return seed, nil
}

// Dir is the profile's folder.
func (p *Profile) Dir() string { return p.dir }

func (p *Profile) path(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

// read reads a JSON file of the profile; os.ErrNotExist stays recognizable.
func (p *Profile) read(name string, value any) error {
	data, err := os.ReadFile(p.path(name))
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fault.Wrap(fault.Internal, err, "the file %s is damaged; restore it from a backup", p.path(name))
	}
	return nil
}

// write writes a JSON file of the profile whole or not at all.
func (p *Profile) write(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	return writePrivate(p.path(name), data)
}

// writePrivate writes a file that only its owner can read, whole or not at all.
func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", filepath.Dir(path), errors.Unwrap(err))
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".writing-*") // mode 0600
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be written: %v", filepath.Dir(path), errors.Unwrap(err))
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone after the rename
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the file %s cannot be written: %v", path, err)
	}
	return nil
}

// lock keeps other processes of this member from changing the profile at the same time.
func (p *Profile) lock() (unlock func(), err error) {
	unlock, err = lockedfile.MutexAt(p.path("lock")).Lock()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the profile %s cannot be locked: %v", p.dir, err)
	}
	return unlock, nil
}

// checkPrivate refuses a folder that others can enter.
func checkPrivate(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	if unixPermissions && info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Refused,
			"the profile %s can be read by others, and it holds your keys; run: chmod 700 %s", dir, dir)
	}
	return nil
}
