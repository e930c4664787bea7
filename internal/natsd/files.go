package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// openFolder makes a folder for the hub alone, if it is not there, and proves that
// files can be written in it: the server itself would say so much later and less
// clearly.
func openFolder(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = probeWrite(dir)
	}
	if err == nil {
		return nil
	}
	if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
		return fault.Wrap(fault.Internal, err, "%s is a file, and the hub needs a folder there: "+
			"move it away or choose another folder with --data", dir)
	}
	return fault.Wrap(fault.Internal, err, "the hub cannot write in the folder %s (%s): "+
		"run it as the owner of the folder, or choose another with --data", dir, reason(err))
}

func probeWrite(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// reason is the bare cause of a file error, without the path that the sentence
// around it already names.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// writeNewFile writes a private file that must not exist yet, down to the disk.
func writeNewFile(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", filepath.Base(path), err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// validPublic reports whether key is a public key of the kind, in its one canonical
// form: nkeys itself also takes line breaks and a character too many.
func validPublic(prefix nkeys.PrefixByte, key string) bool {
	raw, err := nkeys.Decode(prefix, []byte(key))
	if err != nil {
		return false
	}
	canonical, err := nkeys.Encode(prefix, raw)
	return err == nil && string(canonical) == key
}
