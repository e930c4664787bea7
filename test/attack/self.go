package attack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

// self is what the attacker has of their own: a member's profile, read from its files.
type self struct {
	settings client.Settings
	identity *trust.KeyPair // nil for who stole a device
	device   *trust.KeyPair
	person   *trust.XKey
	author   trust.PublicKey // the account
}

// me reads the profile in $KEYHALL_HOME.
func me() (*self, error) { return readSelf(os.Getenv("KEYHALL_HOME")) }

func readSelf(home string) (*self, error) {
	s := new(self)
	data, err := os.ReadFile(filepath.Join(home, "profile.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &s.settings); err != nil {
		return nil, err
	}
	if s.author, err = trust.ParsePublicKey(trust.Account, s.settings.Account); err != nil {
		return nil, err
	}
	return s, s.readKeys(filepath.Join(home, "keys"))
}

func (s *self) readKeys(dir string) error {
	seed, err := os.ReadFile(filepath.Join(dir, "device.nk"))
	if err != nil {
		return err
	}
	if s.device, err = trust.ParseSeed(trust.Device, seed); err != nil {
		return err
	}
	if seed, err = os.ReadFile(filepath.Join(dir, "person.xk")); err != nil {
		return err
	}
	if s.person, err = trust.ParseXKeySeed(seed); err != nil {
		return err
	}
	seed, err = os.ReadFile(filepath.Join(dir, "identity.nk"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.identity, err = trust.ParseSeed(trust.Account, seed)
	return err
}

func (s *self) account() string { return s.author.Text(trust.Account) }

// write makes a profile folder that has not joined anything yet, unless settings are
// there.
func (s *self) write(home string) error {
	seeds := map[string][]byte{"keys/device.nk": s.device.Seed(), "keys/person.xk": s.person.Seed()}
	if s.identity != nil {
		seeds["keys/identity.nk"] = s.identity.Seed()
	}
	if s.settings.Account != "" {
		var err error
		if seeds["profile.json"], err = json.Marshal(s.settings); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(home, "keys"), 0o700); err != nil {
		return err
	}
	for name, content := range seeds {
		if err := os.WriteFile(filepath.Join(home, filepath.FromSlash(name)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// thief makes a profile of a creds file that was stolen, and of what else lay on the device:
// the person's key. The identity did not.
func thief(c *call) error {
	if err := c.parse(2, 2); err != nil {
		return err
	}
	victim, err := me()
	if err != nil {
		return err
	}
	creds, err := os.ReadFile(c.arg(0))
	if err != nil {
		return err
	}
	if victim.settings.Token, err = jwt.ParseDecoratedJWT(creds); err != nil {
		return err
	}
	key, err := jwt.ParseDecoratedNKey(creds)
	if err != nil {
		return err
	}
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	if victim.device, err = trust.ParseSeed(trust.Device, seed); err != nil {
		return err
	}
	victim.identity = nil
	return victim.write(c.arg(1))
}

// site is a hub as anybody sees it from outside.
type site struct {
	id       string
	document api.Document
}

// where is the hub at $HUB, whose word is taken for everything.
func where(ctx context.Context) (*site, error) {
	if server := os.Getenv("NATS_URL"); server != "" && os.Getenv("HUB") == "" {
		at := new(site) // a NATS server that is no hub's
		at.document.NATS = []string{server}
		return at, nil
	}
	var challenge [32]byte
	rand.Read(challenge[:])
	proof, err := askProof(ctx, os.Getenv("HUB"), hex.EncodeToString(challenge[:]))
	if err != nil {
		return nil, err
	}
	hub, err := trust.ParseHub(proof.Hub)
	if err != nil {
		return nil, err
	}
	at := &site{id: hub.ID}
	return at, json.Unmarshal([]byte(proof.Document), &at.document)
}

// askProof has a hub prove itself on a challenge of 64 hexadecimal digits.
func askProof(ctx context.Context, origin, challenge string) (*api.Proof, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/.well-known/keyhall?challenge="+challenge, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	proof := new(api.Proof)
	return proof, json.NewDecoder(response.Body).Decode(proof)
}

// inviteOf reads an invite's code, which may stand in a link.
func inviteOf(code string) (*trust.Invite, error) {
	return trust.ParseInvite(code[strings.LastIndexByte(code, '#')+1:])
}
