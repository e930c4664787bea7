package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/recovery"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/signin"
)

const (
	hubAccount   = "HUB"
	roomsAccount = "ROOMS"
	bucketStream = "KV_" // and the bucket's name
)

// inOrder are the streams of a backup, in the order of their snapshots. What names
// something in another stream comes before it: a message names places of the ledger, a session
// a device there, and so do a member's backups. So the ledger comes last, and has all that the others name.
var inOrder = []struct{ name, account string }{
	{rooms.Stream, roomsAccount},
	{bucketStream + recovery.Bucket, hubAccount},
	{bucketStream + signin.Bucket, hubAccount},
	{bucketStream + browsers.Bucket, hubAccount},
	{ledger.Stream, hubAccount},
}

// Summary is what a backup holds.
type Summary struct {
	File    string    `json:"file"`
	Hub     string    `json:"hub"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"` // of the file
	Parts   int       `json:"parts"`
}

// Write makes a backup of the hub that runs on dataDir. The file appears under its name when
// it is whole; only its owner can read it. Everything that the hub acknowledged before the
// call is in it. An existing file is not replaced.
func Write(ctx context.Context, dataDir, path string) (*Summary, error) {
	keys, err := natsd.LoadKeys(dataDir)
	if err != nil {
		return nil, err
	}
	if natsd.LivesOutside(dataDir) {
		return nil, fault.New(fault.Refused, "this hub lives on a NATS system of its operator's; its streams are backed up there "+
			"(LEDGER, KV_RECOVERY, KV_LOGINS and KV_BROWSERS in account HUB, ROOMS in ROOMS), and %s with any tool", natsd.KeysFolder(dataDir))
	}
	run, err := natsd.ReadRun(dataDir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fault.New(fault.Taken, "%s is there already; a backup replaces nothing, choose another name", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".keyhall-backup-*") // mode 0600
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "no file can be made in %s: %v", filepath.Dir(path), cause(err))
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone after the rename
	w := newWriter(file, keys.OperatorID)
	err = w.hub(ctx, dataDir, run.NATS, keys)
	if err == nil {
		err = w.close()
	}
	return w.finish(file, path, err)
}

// finish puts a whole file in its place.
func (w *writer) finish(file *os.File, path string, err error) (*Summary, error) {
	err = errors.Join(err, file.Sync())
	info, statErr := file.Stat()
	err = errors.Join(err, statErr, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return nil, known
	case errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return nil, fault.Wrap(fault.Internal, err, "the backup could not be written: %v", cause(err))
	}
	return &Summary{
		File: path, Hub: w.manifest.Hub, Created: w.manifest.Created, Bytes: info.Size(), Parts: len(w.manifest.Parts),
	}, nil
}

// hub writes everything that a backup of the hub holds.
func (w *writer) hub(ctx context.Context, dataDir, address string, keys *natsd.Keys) error {
	if err := w.keys(natsd.KeysFolder(dataDir)); err != nil {
		return err
	}
	inAccount := make(map[string]*nats.Conn)
	for account, key := range map[string]string{hubAccount: keys.Hub, roomsAccount: keys.Rooms} {
		login, err := keys.Archivist(key, streamsOf(account)...)
		if err != nil {
			return err
		}
		nc, err := nats.Connect(address, login.Options()...)
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "no hub answers for %s; start it with keyhall up --data %s", dataDir, dataDir)
		}
		defer nc.Close()
		inAccount[account] = nc
	}
	for _, s := range inOrder {
		err := w.stream(ctx, inAccount[s.account], s.name, s.account)
		if errors.Is(err, errNoStream) && strings.HasPrefix(s.name, bucketStream) {
			continue // a hub from before there was such a bucket
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func streamsOf(account string) []string {
	var names []string
	for _, s := range inOrder {
		if s.account == account {
			names = append(names, s.name)
		}
	}
	return names
}

// keys writes the files of the key folder.
func (w *writer) keys(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the keys in %s cannot be read: %v", dir, cause(err))
	}
	for _, entry := range entries {
		name := "keys/" + entry.Name()
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxKeyPart || !partName.MatchString(name) {
			return fault.New(fault.Internal, "%s does not belong there; move it away", filepath.Join(dir, entry.Name()))
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fault.Wrap(fault.Internal, err, "the keys in %s cannot be read: %v", dir, cause(err))
		}
		if err := w.part(name, data); err != nil {
			return err
		}
	}
	return nil
}

// stream writes a snapshot of a stream, in parts.
func (w *writer) stream(ctx context.Context, nc *nats.Conn, name, account string) error {
	part, number := make([]byte, 0, partSize), 0
	flush := func() error {
		err := w.part(fmt.Sprintf("streams/%s/%06d", name, number), part)
		part, number = part[:0], number+1
		return err
	}
	config, state, err := snapshot(ctx, nc, name, func(chunk []byte) error {
		if len(part)+len(chunk) > partSize {
			if err := flush(); err != nil {
				return err
			}
		}
		part = append(part, chunk...)
		return nil
	})
	if err != nil {
		return err
	}
	if len(part) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	w.manifest.Streams = append(w.manifest.Streams, Stream{Name: name, Account: account, Config: config, State: state})
	return nil
}

// cause is an error without the path that the sentence around it names.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
