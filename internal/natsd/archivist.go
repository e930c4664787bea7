package natsd

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// archivistLife is how long the login of one backup or restore is good.
const archivistLife = 24 * time.Hour

// The logins of a backup and a restore are made for it and end with it: no service of a
// running hub can hand a stream out whole, or put another in its place.

// Archivist is a login that may take snapshots of the named streams of an account, HUB or
// ROOMS.
func (k *Keys) Archivist(account string, streams ...string) (Login, error) {
	r := role{name: "keyhall-backup"}
	for _, stream := range streams {
		r.publish = append(r.publish, "$JS.API.STREAM.SNAPSHOT."+stream, "$JS.SNAPSHOT.ACK."+stream+".>")
	}
	return k.passing(account, r)
}

// Restorer is a login that may restore the named streams of an account where there are none.
func (k *Keys) Restorer(account string, streams ...string) (Login, error) {
	r := role{name: "keyhall-restore"}
	for _, stream := range streams {
		r.publish = append(r.publish, "$JS.API.STREAM.RESTORE."+stream, "$JS.SNAPSHOT.RESTORE."+stream+".*")
	}
	return k.passing(account, r)
}

// passing mints a login that ends by itself, with a key that nobody keeps.
func (k *Keys) passing(account string, r role) (Login, error) {
	signer := map[string]nkeys.KeyPair{k.Hub: k.HubSigner, k.Rooms: k.RoomsSigner}[account]
	if signer == nil {
		return Login{}, fmt.Errorf("login %s: the account %s has no signing key here", r.name, account)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return Login{}, fmt.Errorf("login %s: %w", r.name, err)
	}
	public, err := user.PublicKey()
	if err != nil {
		return Login{}, fmt.Errorf("login %s: %w", r.name, err)
	}
	seed, err := user.Seed()
	if err != nil {
		return Login{}, fmt.Errorf("login %s: %w", r.name, err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount = r.name, account
	claims.Expires = time.Now().Add(archivistLife).Unix()
	claims.Permissions = r.permissions(public)
	if err := validate(claims); err != nil {
		return Login{}, fmt.Errorf("login %s: %w", r.name, err)
	}
	token, err := claims.Encode(signer)
	if err != nil {
		return Login{}, fmt.Errorf("login %s: %w", r.name, err)
	}
	return Login{Name: r.name, Account: account, PublicKey: public, JWT: token, seed: seed}, nil
}

// KeysFolder is the folder of a hub's keys in its data folder.
func KeysFolder(dataDir string) string { return filepath.Join(dataDir, keysFolder) }

// LivesOutside reports whether the hub in dataDir lives on a NATS system of somebody else's.
func LivesOutside(dataDir string) bool {
	_, err := os.Stat(filepath.Join(KeysFolder(dataDir), outsideFile))
	return err == nil
}
