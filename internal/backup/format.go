package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	version      = 1
	partSize     = 16 << 20 // bytes of a snapshot in one part
	maxKeyPart   = 64 << 10
	maxManifest  = 64 << 20
	manifestName = "manifest.json"
	hashName     = "sha256"
	trailerSize  = 512 + 512 + 1024 // the last entry and the end of a tar
)

// Manifest says what is in a backup.
type Manifest struct {
	Version int       `json:"version"`
	Hub     string    `json:"hub"` // hub id
	Created time.Time `json:"created"`
	Streams []Stream  `json:"streams"`
	Parts   []Part    `json:"parts"` // in the order of the file
}

// Stream is a JetStream stream as it was when its snapshot was taken. Config and State are
// the server's own words, for the server that restores it.
type Stream struct {
	Name    string          `json:"name"`
	Account string          `json:"account"` // HUB or ROOMS
	Config  json.RawMessage `json:"config"`
	State   json.RawMessage `json:"state"`
}

// Part is an entry of the file.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// partName matches what a part may be called: no name leads out of a folder.
var partName = regexp.MustCompile(`^(keys/[a-z0-9][a-z0-9.-]{0,63}|streams/[A-Z][A-Z_]{0,31}/[0-9]{6})$`)

// errDamaged is why a file is no backup that can be used.
func errDamaged(format string, args ...any) error {
	return fault.New(fault.Malformed, "the file is damaged, or no backup of a hub (%s); nothing was restored", fmt.Sprintf(format, args...))
}

// writer writes the entries of a backup and keeps account of them.
type writer struct {
	out      io.Writer // the file, and hash
	hash     hash.Hash
	tar      *tar.Writer
	manifest Manifest
}

func newWriter(file io.Writer, hubID string) *writer {
	w := &writer{hash: sha256.New(), manifest: Manifest{
		Version: version, Hub: hubID, Created: time.Now().UTC().Truncate(time.Second), Streams: []Stream{}, Parts: []Part{},
	}}
	w.out = io.MultiWriter(file, w.hash)
	w.tar = tar.NewWriter(w.out)
	return w
}

func (w *writer) part(name string, data []byte) error {
	sum := sha256.Sum256(data)
	w.manifest.Parts = append(w.manifest.Parts, Part{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])})
	return w.entry(name, data)
}

func (w *writer) entry(name string, data []byte) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg, ModTime: w.manifest.Created, Format: tar.FormatUSTAR}
	if err := w.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := w.tar.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// close writes the manifest, and the hash of all.
func (w *writer) close() error {
	text, err := json.Marshal(w.manifest)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if len(text) > maxManifest {
		return fault.New(fault.TooLarge, "the hub is too large for one backup file")
	}
	if err := w.entry(manifestName, text); err != nil {
		return err
	}
	if err := w.tar.Flush(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = w.out.Write(trailer(w.hash.Sum(nil)))
	return err
}

// trailer is the last entry, the same for the same hash.
func trailer(sum []byte) []byte {
	var buffer bytes.Buffer
	last := tar.NewWriter(&buffer)
	text := hex.EncodeToString(sum)
	// Into memory and with a short plain name: neither can fail.
	_ = last.WriteHeader(&tar.Header{Name: hashName, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR})
	_, _ = io.WriteString(last, text)
	_ = last.Close()
	return buffer.Bytes()
}

// checkWhole compares a file of the given size with the hash at its end.
func checkWhole(file io.ReaderAt, size int64) error {
	if size < 2*trailerSize || size%512 != 0 {
		return errDamaged("it is not whole")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, size-trailerSize)); err != nil {
		return fault.Wrap(fault.Internal, err, "the backup cannot be read: %v", err)
	}
	end := make([]byte, trailerSize)
	if _, err := file.ReadAt(end, size-trailerSize); err != nil && err != io.EOF {
		return fault.Wrap(fault.Internal, err, "the backup cannot be read: %v", err)
	}
	if !bytes.Equal(end, trailer(sum.Sum(nil))) {
		return errDamaged("its hash is another than the one at its end")
	}
	return nil
}

// readManifest reads a whole file's entries and checks each against the manifest.
func readManifest(file io.ReaderAt, size int64) (*Manifest, error) {
	var parts []Part
	manifest := new(Manifest)
	err := eachEntry(file, size, "", func(name string, data []byte) error {
		if name != manifestName {
			sum := sha256.Sum256(data)
			parts = append(parts, Part{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])})
			return nil
		}
		if err := json.Unmarshal(data, manifest); err != nil {
			return errDamaged("its manifest cannot be read")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if manifest.Version != version {
		return nil, fault.New(fault.Malformed, "the backup was written by another version of Keyhall (format %d; this one knows %d)",
			manifest.Version, version)
	}
	if len(parts) != len(manifest.Parts) {
		return nil, errDamaged("it has %d parts, and its manifest %d", len(parts), len(manifest.Parts))
	}
	for i, part := range parts {
		if part != manifest.Parts[i] {
			return nil, errDamaged("its part %.80q is another than the manifest says", part.Name)
		}
	}
	return manifest, nil
}

// eachEntry calls each with the parts of a file whose names begin with prefix, in order, and
// with the manifest, which is the last, where prefix is empty.
func eachEntry(file io.ReaderAt, size int64, prefix string, each func(name string, data []byte) error) error {
	entries := tar.NewReader(io.NewSectionReader(file, 0, size-trailerSize))
	ended := false
	for {
		header, err := entries.Next()
		if err == io.EOF {
			if !ended {
				return errDamaged("it has no manifest")
			}
			return nil
		}
		if err != nil {
			return errDamaged("it is no tar file")
		}
		if ended {
			return errDamaged("something comes after the manifest")
		}
		ended = header.Name == manifestName
		if !strings.HasPrefix(header.Name, prefix) {
			continue
		}
		data, err := readEntry(header, entries)
		if err != nil {
			return err
		}
		if err := each(header.Name, data); err != nil {
			return err
		}
	}
}

// readEntry reads an entry of a name, a kind and a size that it may have.
func readEntry(header *tar.Header, content io.Reader) ([]byte, error) {
	most := int64(partSize)
	switch {
	case header.Name == manifestName:
		most = maxManifest
	case !partName.MatchString(header.Name):
		return nil, errDamaged("a part is called %.80q", header.Name)
	case strings.HasPrefix(header.Name, "keys/"):
		most = maxKeyPart
	}
	if header.Typeflag != tar.TypeReg || header.Size > most {
		return nil, errDamaged("its part %.80q is of another kind or size", header.Name)
	}
	data, err := io.ReadAll(io.LimitReader(content, most))
	if err != nil || int64(len(data)) != header.Size {
		return nil, errDamaged("its part %.80q is not whole", header.Name)
	}
	return data, nil
}
