package natsd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

func TestFirstStartMakesAWholePrivateKeyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	s := start(t, quiet(dir))
	keys := s.Keys()

	operator, err := jwt.DecodeOperatorClaims(keys.OperatorJWT)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OperatorSigner.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if operator.Subject != keys.OperatorID || operator.Issuer != keys.OperatorID ||
		operator.SystemAccount != keys.System || !operator.SigningKeys.Contains(signer) {
		t.Errorf("operator JWT %+v does not fit the keys", operator)
	}
	if jwts := keys.AccountJWTs(); len(jwts) != 4 {
		t.Errorf("%d account JWTs, want 4", len(jwts))
	}
	for account, token := range keys.AccountJWTs() {
		claims, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			t.Fatal(err)
		}
		if claims.Subject != account || claims.Issuer != signer {
			t.Errorf("JWT of %s: subject %s, issuer %s", account, claims.Subject, claims.Issuer)
		}
		stored, err := os.ReadFile(filepath.Join(dir, "jwt", account+".jwt"))
		if err != nil || string(stored) != token {
			t.Errorf("JWT of %s is not in the resolver: %v", claims.Name, err)
		}
	}
	checkModes(t, filepath.Join(dir, "keys"))
}

func checkModes(t *testing.T, keys string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	err := filepath.WalkDir(keys, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCalloutMayPlaceInHubAndRoomsAlone(t *testing.T) {
	keys := start(t, quiet(t.TempDir())).Keys()
	auth, err := jwt.DecodeAccountClaims(keys.AccountJWTs()[keys.Auth])
	if err != nil {
		t.Fatal(err)
	}
	xkey, err := keys.CalloutXKey.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	got, want := auth.Authorization, jwt.ExternalAuthorization{
		AuthUsers:       jwt.StringList{keys.CalloutUser.PublicKey},
		AllowedAccounts: jwt.StringList{keys.Hub, keys.Rooms},
		XKey:            xkey,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("authorization %+v, want %+v", got, want)
	}
}

func TestRestartKeepsIdentitiesAndStreams(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	first := start(t, quiet(dir))
	before := identities(t, first.Keys())
	js, err := jetstream.New(login(t, first, first.Keys().HubUser).Conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "LEDGER", Subjects: []string{"ledger.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "ledger.hub", []byte("fact")); err != nil {
		t.Fatal(err)
	}
	stop(t, first)

	second := start(t, quiet(dir))
	if after := identities(t, second.Keys()); after != before {
		t.Errorf("identities were\n%s\nand are\n%s", before, after)
	}
	js, err = jetstream.New(login(t, second, second.Keys().HubUser).Conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	message, err := stream.GetLastMsgForSubject(ctx, "ledger.hub")
	if err != nil || string(message.Data) != "fact" {
		t.Errorf("after a restart the stream has %v, %v", message, err)
	}
}

// identities is every public key of a hub as text.
func identities(t *testing.T, k *natsd.Keys) string {
	t.Helper()
	all := []string{k.OperatorID, k.System, k.Auth, k.Hub, k.Rooms}
	for _, l := range []natsd.Login{k.SystemUser, k.HubUser, k.SignerUser, k.RoomsUser, k.CalloutUser} {
		all = append(all, l.PublicKey)
	}
	for _, pair := range []nkeys.KeyPair{k.OperatorSigner, k.AuthSigner, k.HubSigner, k.RoomsSigner, k.CalloutXKey, k.NewcomerSigner, k.ReturnerSigner} {
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, public)
	}
	sentinel, err := jwt.DecodeUserClaims(k.Sentinel)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(all, sentinel.Subject), "\n")
}

func TestKeysAreReadBesideARunningHub(t *testing.T) {
	dir := t.TempDir()
	_, err := natsd.LoadKeys(dir)
	checkFault(t, err, fault.NotFound, dir)
	s := start(t, quiet(dir))
	keys, err := natsd.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if identities(t, keys) != identities(t, s.Keys()) {
		t.Error("loaded keys differ from the running hub's")
	}
}

func TestSecretsStayOutOfLogsAndText(t *testing.T) {
	keys := start(t, quiet(t.TempDir())).Keys()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("test", "keys", keys, "login", keys.HubUser)
	fmt.Fprintf(&log, "%v %+v %s %#v", keys, keys.HubUser, keys.HubUser, keys.HubUser)
	text := log.String()
	if !strings.Contains(text, keys.OperatorID) {
		t.Errorf("the log does not say which keys: %s", text)
	}
	for _, seed := range seeds(t, keys) {
		if strings.Contains(text, seed) {
			t.Errorf("logged a seed in %s", text)
		}
	}
}

// seeds are all secrets of the keys: of the signers and of the logins.
func seeds(t *testing.T, k *natsd.Keys) []string {
	t.Helper()
	var all []string
	for _, pair := range []nkeys.KeyPair{k.OperatorSigner, k.AuthSigner, k.HubSigner, k.RoomsSigner, k.CalloutXKey, k.NewcomerSigner, k.ReturnerSigner} {
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(seed))
	}
	for _, l := range []natsd.Login{k.SystemUser, k.HubUser, k.SignerUser, k.RoomsUser, k.CalloutUser} {
		creds, err := l.Creds()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := jwt.ParseDecoratedUserNKey(creds)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(seed))
	}
	return all
}

func TestAKeyThatIsNotAsItWasStopsTheStart(t *testing.T) {
	restore := "restore"
	for name, c := range map[string]struct {
		harm  func(t *testing.T, keys string)
		code  fault.Code
		words []string
	}{
		"seed missing": {func(t *testing.T, keys string) { remove(t, keys, "hub.nk") }, fault.Internal, []string{"hub.nk", "missing", restore}},
		"seed empty":   {func(t *testing.T, keys string) { write(t, keys, "auth.nk", nil) }, fault.Internal, []string{"auth.nk", "damaged", restore}},
		"seed changed": {func(t *testing.T, keys string) {
			seed := read(t, keys, "operator.nk")
			seed[20] ^= 1
			write(t, keys, "operator.nk", seed)
		}, fault.Internal, []string{"operator.nk", "damaged", restore}},
		"seed huge": {func(t *testing.T, keys string) {
			write(t, keys, "sys.nk", bytes.Repeat([]byte("S"), 1<<20))
		}, fault.Internal, []string{"sys.nk", "damaged", restore}},
		"seed of another kind": {func(t *testing.T, keys string) {
			write(t, keys, "rooms.nk", read(t, keys, "user-rooms.nk"))
		}, fault.Internal, []string{"rooms.nk", "damaged", restore}},
		"seed of another key": {func(t *testing.T, keys string) {
			write(t, keys, "rooms.nk", read(t, keys, "hub.nk"))
		}, fault.Internal, []string{"rooms.nk", "another key", restore}},
		"xkey damaged": {func(t *testing.T, keys string) {
			write(t, keys, "callout-xkey.nk", []byte("SXnothing"))
		}, fault.Internal, []string{"callout-xkey.nk", "damaged", restore}},
		"index missing":      {func(t *testing.T, keys string) { remove(t, keys, "keys.json") }, fault.Internal, []string{"keys.json", "missing", restore}},
		"index damaged":      {func(t *testing.T, keys string) { write(t, keys, "keys.json", []byte(`{"format":1`)) }, fault.Internal, []string{"keys.json", "damaged", restore}},
		"index without keys": {func(t *testing.T, keys string) { write(t, keys, "keys.json", []byte(`{"format":1}`)) }, fault.Internal, []string{"keys.json", "damaged", restore}},
		"index of format 0":  {func(t *testing.T, keys string) { write(t, keys, "keys.json", []byte(`{}`)) }, fault.Internal, []string{"keys.json", "damaged", restore}},
		"newer version":      {writeNewerIndex, fault.Conflict, []string{"keys.json", "newer Keyhall", "format 2"}},
		"folder gone": {func(t *testing.T, keys string) {
			if err := os.RemoveAll(keys); err != nil {
				t.Fatal(err)
			}
		}, fault.Internal, []string{"keys", "gone", restore}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stop(t, start(t, quiet(dir)))
			keys := filepath.Join(dir, "keys")
			c.harm(t, keys)
			before := listing(t, keys)
			startFault(t, quiet(dir), c.code, append(c.words, keys)...)
			if after := listing(t, keys); after != before {
				t.Errorf("the refused start changed the key folder from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func writeNewerIndex(t *testing.T, keys string) {
	var index map[string]any
	if err := json.Unmarshal(read(t, keys, "keys.json"), &index); err != nil {
		t.Fatal(err)
	}
	index["format"] = 2
	content, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, keys, "keys.json", content)
}

func TestKeysOpenToOthersStopTheStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes say nothing on Windows")
	}
	for name, c := range map[string]struct {
		file string
		mode fs.FileMode
		fix  string
	}{
		"folder readable by group":  {".", 0o750, "chmod 700"},
		"folder readable by others": {".", 0o705, "chmod 700"},
		"seed readable by others":   {"operator.nk", 0o604, "chmod 600"},
		"index writable by group":   {"keys.json", 0o620, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stop(t, start(t, quiet(dir)))
			path := filepath.Join(dir, "keys", c.file)
			mode := fs.FileMode(0o600)
			if c.file == "." {
				mode = 0o700
			}
			chmod(t, path, c.mode)
			startFault(t, quiet(dir), fault.Refused, path, "open to other users", c.fix)
			chmod(t, path, mode)
			start(t, quiet(dir))
		})
	}
}

func TestAnInterruptedFirstStartIsStartedOver(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(dir, ".keys-new")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, half, "operator.nk", []byte("SO"))
	start(t, quiet(dir))
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("the half key folder is still there: %v", err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// listing is names and contents of a folder, or nothing where there is none.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, entry := range entries {
		fmt.Fprintf(&all, "%s %q\n", entry.Name(), read(t, dir, entry.Name()))
	}
	return all.String()
}
