package natsd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"keyhall.dev/keyhall/internal/fault"
)

// ErrStorage is the error of a server that could not write to its disk. A stream that met
// such an error takes nothing any more until the server starts again.
var ErrStorage = errors.New("storage failed")

const (
	lookEvery = time.Second
	probeFile = "probe"
	probeSize = 4 << 20 // bytes there must be room for before a start
	tryFirst  = time.Second
	tryLast   = 30 * time.Second
)

// WatchStorage returns ErrStorage as a fault with a sentence for the host once the server
// cannot write, or nil when ctx ends. A stream that is being removed looks the same for a
// moment, so two looks in a row must agree.
func (s *Server) WatchStorage(ctx context.Context) error {
	bad := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookEvery):
		}
		text := s.storageError()
		if text == "" {
			bad = 0
			continue
		}
		if bad++; bad > 1 {
			return fault.Wrap(fault.Unavailable, errors.Join(ErrStorage, errors.New(text)),
				"the hub cannot write in %s; is the disk full? (%s)", s.opts.DataDir, text)
		}
	}
}

// storageError is what is wrong with a stream or with all of them, or nothing.
func (s *Server) storageError() string {
	for _, problem := range s.nats.Healthz(&server.HealthzOptions{Details: true}).Errors {
		switch problem.Type {
		case server.HealthzErrorStream, server.HealthzErrorConsumer, server.HealthzErrorJetStream:
			return problem.Error
		}
	}
	return ""
}

// AwaitRoom returns when some megabytes can be written in a data folder again, or with the
// error of ctx.
func AwaitRoom(ctx context.Context, dataDir string) error {
	for wait := tryFirst; ; wait = min(2*wait, tryLast) {
		if probeRoom(dataDir) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// probeRoom returns an error unless some megabytes can be written in a data folder.
func probeRoom(dataDir string) error {
	path := filepath.Join(dataDir, probeFile)
	err := os.WriteFile(path, make([]byte, probeSize), 0o600)
	return errors.Join(err, removeFile(path))
}
