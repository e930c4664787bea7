package natsd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keyhall.dev/keyhall/internal/fault"
)

const runFile = "run.json"

// Run says where a running hub can be reached, to other commands on its machine.
type Run struct {
	NATS      string `json:"nats"`
	WebSocket string `json:"websocket"`
	HTTP      string `json:"http"`
	PID       int    `json:"pid"`
}

// ReadRun reads what the hub in dataDir announced, or is a NotFound fault. A hub that
// was killed leaves its announcement behind: who connects to it finds nobody there.
func ReadRun(dataDir string) (Run, error) {
	var run Run
	path := filepath.Join(dataDir, runFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return run, fault.Wrap(fault.NotFound, err, "no hub is running in %s: start it with keyhall up", dataDir)
	}
	if err != nil {
		return run, fault.Wrap(fault.Internal, err, "%s cannot be read (%s): run this as the owner of the hub", path, reason(err))
	}
	if err := json.Unmarshal(content, &run); err != nil {
		return run, fault.Wrap(fault.Internal, err, "%s is damaged: start the hub again", path)
	}
	return run, nil
}

// writeRun replaces the announcement in one step, so that no reader sees half of it.
func writeRun(dataDir string, run Run) error {
	content, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("encode %s: %w", runFile, err)
	}
	path := filepath.Join(dataDir, runFile)
	next := path + ".new"
	if err := removeFile(next); err != nil {
		return err
	}
	if err := writeNewFile(next, append(content, '\n')); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// removeFile removes a file that may be missing.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
