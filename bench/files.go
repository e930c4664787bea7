//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
)

const pieceSize = 1 << 20

// writeRandom writes a file that nothing can compress or guess, and leaves nothing of it
// for the disk to do later.
func writeRandom(path string, size int64) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var seed [32]byte
	rand.Read(seed[:])
	if _, err := io.CopyBuffer(onlyWriter{file}, io.LimitReader(mathrand.NewChaCha8(seed), size), make([]byte, pieceSize)); err != nil {
		return err
	}
	if size < pieceSize {
		return nil
	}
	return file.Sync()
}

// onlyWriter keeps io.CopyBuffer to its buffer.
type onlyWriter struct{ io.Writer }

// sameFolder is an error unless both folders hold the same files with the same bytes.
func sameFolder(want, got string) error {
	compared := 0
	err := filepath.WalkDir(want, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		compared++
		return sameFile(path, filepath.Join(got, name))
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(got, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if compared--; compared < 0 {
			return fmt.Errorf("%s holds more than was asked for: %s", got, path)
		}
		return nil
	})
}

func sameFile(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // only read
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // only read
	left, right := make([]byte, pieceSize), make([]byte, pieceSize)
	for {
		n, errA := io.ReadFull(a, left)
		m, errB := io.ReadFull(b, right)
		if !bytes.Equal(left[:n], right[:m]) {
			return fmt.Errorf("%s is not what %s is", got, want)
		}
		if errA != nil || errB != nil {
			return differ(errA, errB)
		}
	}
}

// differ judges how two files of the same bytes so far ended.
func differ(a, b error) error {
	for _, err := range []error{a, b} {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.Join(a, b)
		}
	}
	return nil
}
