package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/trust"
)

// Report is what came out of a backup, and what of it was verified.
type Report struct {
	Data     string    `json:"data"` // the new data folder
	Hub      string    `json:"hub"`
	Created  time.Time `json:"created"` // when the backup was made
	Messages uint64    `json:"messages"`
	ledger.Report
}

// Restore makes the hub of a backup in dataDir, which must not exist or be empty. It takes
// the file whole or not at all: every hash is checked before anything is written, and the
// folder appears under its name when all is in it. Then the ledger is verified event by
// event; events that do not hold are in the report, and count no more in the new hub than
// they did in the old one.
func Restore(ctx context.Context, path, dataDir string) (*Report, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%q is not a usable folder", dataDir)
	}
	if err := checkFree(dataDir); err != nil {
		return nil, err
	}
	file, manifest, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := os.MkdirAll(filepath.Dir(dataDir), 0o700); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", filepath.Dir(dataDir), cause(err))
	}
	making, err := os.MkdirTemp(filepath.Dir(dataDir), "."+filepath.Base(dataDir)+".restoring-*") // mode 0700
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "no folder can be made in %s: %v", filepath.Dir(dataDir), cause(err))
	}
	defer os.RemoveAll(making) //nolint:errcheck // gone after the rename
	report, err := file.restore(ctx, manifest, making)
	if err != nil {
		return nil, err
	}
	report.Data = dataDir
	_ = os.Remove(dataDir) // an empty folder, or none
	if err := os.Rename(making, dataDir); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", dataDir, cause(err))
	}
	return report, nil
}

// checkFree refuses a folder in which something is.
func checkFree(dir string) error {
	content, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be used: %v", dir, cause(err))
	case len(content) > 0:
		return fault.New(fault.Taken, "%s is not empty; a hub is restored into a folder of its own, choose another with --data", dir)
	}
	return nil
}

// archive is a backup whose hashes were checked.
type archive struct {
	*os.File
	size int64
}

func open(path string) (*archive, *Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fault.Wrap(fault.NotFound, err, "the backup %s cannot be read: %v", path, cause(err))
	}
	a := &archive{File: file}
	manifest, err := a.check()
	if err != nil {
		_ = file.Close() // it was only read
		return nil, nil, err
	}
	return a, manifest, nil
}

func (a *archive) check() (*Manifest, error) {
	info, err := a.Stat()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the backup cannot be read: %v", cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errDamaged("it is no file")
	}
	a.size = info.Size()
	if err := checkWhole(a, a.size); err != nil {
		return nil, err
	}
	manifest, err := readManifest(a, a.size)
	if err != nil {
		return nil, err
	}
	for _, stream := range manifest.Streams {
		known := func(s struct{ name, account string }) bool {
			return s.name == stream.Name && s.account == stream.Account
		}
		if !slices.ContainsFunc(inOrder, known) {
			return nil, errDamaged("it has a stream %.80q", stream.Name)
		}
	}
	return manifest, nil
}

// restore writes the keys into an empty folder, starts a server of its own on it, which
// nobody else reaches, and has it take the streams.
func (a *archive) restore(ctx context.Context, manifest *Manifest, dir string) (*Report, error) {
	if err := a.keys(dir); err != nil {
		return nil, err
	}
	keys, err := natsd.LoadKeys(dir)
	if err != nil {
		return nil, err
	}
	if keys.OperatorID != manifest.Hub {
		return nil, errDamaged("its keys are another hub's")
	}
	server, err := natsd.Start(ctx, natsd.Options{
		DataDir: dir, NATS: "127.0.0.1:-1", DeferListen: true,
		Logger: slog.New(slog.DiscardHandler), // what matters comes back as an error
	})
	if err != nil {
		return nil, err
	}
	report, err := a.load(ctx, manifest, server)
	return report, errors.Join(err, server.Close())
}

// keys writes the key folder, private as it was.
func (a *archive) keys(dir string) error {
	folder := natsd.KeysFolder(dir)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", folder, cause(err))
	}
	return eachEntry(a, a.size, "keys/", func(name string, data []byte) error {
		if err := writeNew(filepath.Join(folder, strings.TrimPrefix(name, "keys/")), data); err != nil {
			return fault.Wrap(fault.Internal, err, "the keys cannot be written: %v", cause(err))
		}
		return nil
	})
}

// writeNew writes a private file that is not there, down to the disk.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// load restores the streams and verifies what is in them.
func (a *archive) load(ctx context.Context, manifest *Manifest, server *natsd.Server) (*Report, error) {
	report := &Report{Hub: manifest.Hub, Created: manifest.Created}
	for _, stream := range manifest.Streams {
		state, err := a.stream(ctx, stream, server)
		if err != nil {
			return nil, err
		}
		if stream.Name == rooms.Stream {
			report.Messages = state.Messages
		}
	}
	nc, err := server.Connect(server.Keys().HubUser)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	attaching, cancel := context.WithTimeout(ctx, chunkTime)
	defer cancel()
	l, err := ledger.Attach(attaching, nc)
	if err != nil {
		return nil, errDamaged("it has no ledger")
	}
	identity, err := trust.ParseHub(server.Keys().OperatorJWT)
	if err != nil {
		return nil, err
	}
	verified, err := l.Verify(ctx, identity)
	if err != nil {
		return nil, err
	}
	report.Report = *verified
	return report, nil
}

// stream restores one stream from its parts, and compares it with what it was.
func (a *archive) stream(ctx context.Context, stream Stream, server *natsd.Server) (streamState, error) {
	var was, is streamState
	if err := json.Unmarshal(stream.State, &was); err != nil {
		return is, errDamaged("the state of its stream %s cannot be read", stream.Name)
	}
	nc, err := connect(server, stream)
	if err != nil {
		return is, err
	}
	defer nc.Close()
	into, err := restore(ctx, nc, stream)
	if err != nil {
		return is, notTaken(stream.Name, err)
	}
	err = eachEntry(a, a.size, "streams/"+stream.Name+"/", func(_ string, data []byte) error {
		return into.write(ctx, data)
	})
	if err == nil {
		is, err = into.close(ctx)
	}
	if err != nil {
		return is, notTaken(stream.Name, err)
	}
	if !is.same(was) {
		return is, fault.New(fault.Internal, "the stream %s came back with %d messages up to %d, and was backed up with %d up to %d",
			stream.Name, is.Messages, is.Last, was.Messages, was.Last)
	}
	return is, nil
}

// notTaken is the error of a stream that the new server does not take.
func notTaken(stream string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Wrap(fault.Internal, err, "the stream %s of the backup could not be restored: %v", stream, err)
}

func connect(server *natsd.Server, stream Stream) (*nats.Conn, error) {
	account := map[string]string{hubAccount: server.Keys().Hub, roomsAccount: server.Keys().Rooms}[stream.Account]
	login, err := server.Keys().Restorer(account, stream.Name)
	if err != nil {
		return nil, err
	}
	return server.Connect(login)
}
