package natsd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	keysFolder    = "keys"
	keysBeingMade = ".keys-new" // the key folder until it is whole
	indexFile     = "keys.json"
	seedSuffix    = ".nk"

	// dataFormat is the layout of the data folder that this version writes and reads.
	dataFormat = 1

	maxKeyFile = 64 << 10 // bytes; far above any real one
)

// keyIndex is keys.json: it names the public half of every key, so that a key file of
// another hub, or one lost, is noticed before anything is signed with it.
type keyIndex struct {
	Format  int               `json:"format"`
	Created time.Time         `json:"created"`
	Public  map[string]string `json:"public"`
}

// LoadKeys reads the keys of a hub that has been started before. It takes no lock and
// writes nothing, so it serves beside a running hub too. Errors are faults: NotFound
// where no hub has been started in dataDir, otherwise what is wrong with which file.
func LoadKeys(dataDir string) (*Keys, error) {
	dir := filepath.Join(dataDir, keysFolder)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if rest := hubRemains(dataDir); rest != "" {
			return nil, fault.New(fault.Internal, "the keys of the hub in %s are gone (%s is still there): "+
				"restore the folder %s from a backup", dataDir, rest, dir)
		}
		return nil, fault.New(fault.NotFound, "no hub has been started in %s: run keyhall up first, or name its folder with --data", dataDir)
	}
	ring, err := readKeyring(dir)
	if err != nil {
		return nil, err
	}
	keys, err := newKeys(ring)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the keys in %s cannot be used: restore the folder from a backup", dir)
	}
	return keys, applyOutside(dataDir, keys)
}

// loadOrCreateKeys also makes the keys of a new hub. The caller holds the lock.
func loadOrCreateKeys(dataDir string) (*Keys, error) {
	keys, err := LoadKeys(dataDir)
	if !fault.Is(err, fault.NotFound) {
		return keys, err
	}
	if err := createKeyFolder(dataDir); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "cannot make the keys of a new hub in %s: "+
			"check that the folder is yours and its disk is not full", dataDir)
	}
	return LoadKeys(dataDir)
}

// hubRemains names what is left of a hub in dataDir, or nothing. Keys are not made
// anew beside it: they would fit none of it.
func hubRemains(dataDir string) string {
	for _, name := range []string{resolverFolder, storeFolder} {
		entries, err := os.ReadDir(filepath.Join(dataDir, name))
		if err == nil && len(entries) > 0 {
			return filepath.Join(dataDir, name)
		}
	}
	return ""
}

// createKeyFolder writes a new hub's keys beside their place and renames them into
// it: a crash leaves all of them or none.
func createKeyFolder(dataDir string) error {
	ring, err := generateKeyring()
	if err != nil {
		return err
	}
	making := filepath.Join(dataDir, keysBeingMade)
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("clear what an interrupted start left: %w", err)
	}
	if err := os.Mkdir(making, 0o700); err != nil {
		return fmt.Errorf("make key folder: %w", err)
	}
	if err := writeKeyring(making, ring); err != nil {
		return errors.Join(err, os.RemoveAll(making))
	}
	if err := os.Rename(making, filepath.Join(dataDir, keysFolder)); err != nil {
		return fmt.Errorf("put key folder in place: %w", err)
	}
	return syncFolder(dataDir)
}

func writeKeyring(dir string, ring keyring) error {
	for name, pair := range ring.pairs {
		seed, err := pair.Seed()
		if err != nil {
			return fmt.Errorf("seed of %s: %w", name, err)
		}
		if err := writeNewFile(filepath.Join(dir, name+seedSuffix), append(seed, '\n')); err != nil {
			return err
		}
	}
	index, err := json.MarshalIndent(keyIndex{Format: dataFormat, Created: time.Now().UTC(), Public: ring.public}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode key index: %w", err)
	}
	if err := writeNewFile(filepath.Join(dir, indexFile), append(index, '\n')); err != nil {
		return err
	}
	return syncFolder(dir)
}

// readKeyring reads and checks every key. Whatever does not fit is a fault that
// names the file.
func readKeyring(dir string) (keyring, error) {
	if err := checkPrivate(dir); err != nil {
		return keyring{}, err
	}
	index, err := readKeyIndex(filepath.Join(dir, indexFile))
	if err != nil {
		return keyring{}, err
	}
	ring := newKeyring()
	for _, key := range roster {
		ring.public[key.name] = index.Public[key.name]
		if key.name == keySentinel {
			continue
		}
		path := filepath.Join(dir, key.name+seedSuffix)
		content, err := readKeyFile(path)
		if err != nil {
			return keyring{}, err
		}
		pair, err := parsePair(bytes.TrimSpace(content), key.prefix)
		if err != nil {
			return keyring{}, damaged(path, err)
		}
		if public, err := pair.PublicKey(); err != nil || public != index.Public[key.name] {
			return keyring{}, fault.New(fault.Internal, "the key file %s holds another key than %s names: "+
				"restore both from the same backup", path, indexFile)
		}
		ring.pairs[key.name] = pair
	}
	return ring, nil
}

func readKeyIndex(path string) (keyIndex, error) {
	var index keyIndex
	content, err := readKeyFile(path)
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return index, damaged(path, err)
	}
	if index.Format > dataFormat {
		return index, fault.New(fault.Conflict, "%s was written by a newer Keyhall (format %d; this one knows %d): "+
			"start it with that version or a later one", path, index.Format, dataFormat)
	}
	if index.Format < 1 {
		return index, damaged(path, fmt.Errorf("format %d", index.Format))
	}
	for _, key := range roster {
		if !validPublic(key.prefix, index.Public[key.name]) {
			return index, damaged(path, fmt.Errorf("no public key of %s", key.name))
		}
	}
	return index, nil
}

func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, err, "the key file %s is missing: restore it from a backup "+
			"(a new one would be another hub)", path)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, damaged(path, fmt.Errorf("%s of %d bytes", info.Mode(), info.Size()))
	}
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return content, nil
}

func damaged(path string, cause error) error {
	return fault.Wrap(fault.Internal, cause, "the key file %s is damaged: restore it from a backup "+
		"(a new one would be another hub)", path)
}

func unreadable(path string, cause error) error {
	return fault.Wrap(fault.Internal, cause, "the key file %s cannot be read: run the hub as the user who owns it", path)
}
