package attack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

// self is what the attacker has of their own: a member's profile, read from its files.
type self struct {
	settings client.Settings
	identity *trust.KeyPair
	device   *trust.KeyPair
	person   *trust.XKey
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
	return s, s.readKeys(home)
}

func (s *self) readKeys(home string) error {
	seeds := make(map[string][]byte)
	for _, name := range []string{"identity.nk", "device.nk", "person.xk"} {
		seed, err := os.ReadFile(filepath.Join(home, "keys", name))
		if err != nil {
			return err
		}
		seeds[name] = seed
	}
	var err error
	if s.identity, err = trust.ParseSeed(trust.Account, seeds["identity.nk"]); err != nil {
		return err
	}
	if s.device, err = trust.ParseSeed(trust.Device, seeds["device.nk"]); err != nil {
		return err
	}
	s.person, err = trust.ParseXKeySeed(seeds["person.xk"])
	return err
}

func (s *self) account() string { return s.identity.String() }

// site is a hub as anybody sees it from outside.
type site struct {
	id       string
	document api.Document
}

// where is the hub at $HUB, whose word is taken for everything.
func where(ctx context.Context) (*site, error) {
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
