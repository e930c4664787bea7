package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
)

// made is a small whole backup file.
func made(t testing.TB, change func(*writer)) []byte {
	t.Helper()
	var file bytes.Buffer
	w := newWriter(&file, "OHUB")
	for _, part := range []struct{ name, data string }{
		{"keys/keys.json", "{}"}, {"keys/operator-signing.nk", "SO"}, {"streams/LEDGER/000000", strings.Repeat("fact ", 300)},
	} {
		if err := w.part(part.name, []byte(part.data)); err != nil {
			t.Fatal(err)
		}
	}
	w.manifest.Streams = append(w.manifest.Streams, Stream{Name: "LEDGER", Account: hubAccount, Config: []byte(`{}`), State: []byte(`{}`)})
	if change != nil {
		change(w)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func check(data []byte) (*Manifest, error) {
	file, size := bytes.NewReader(data), int64(len(data))
	if err := checkWhole(file, size); err != nil {
		return nil, err
	}
	return readManifest(file, size)
}

func TestABackupIsReadAsItWasWritten(t *testing.T) {
	data := made(t, nil)
	manifest, err := check(data)
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Hub != "OHUB" || len(manifest.Parts) != 3 || len(manifest.Streams) != 1 {
		t.Errorf("it is %+v", manifest)
	}
	var names []string
	err = eachEntry(bytes.NewReader(data), int64(len(data)), "keys/", func(name string, content []byte) error {
		names = append(names, name+"="+string(content))
		return nil
	})
	if err != nil || strings.Join(names, " ") != "keys/keys.json={} keys/operator-signing.nk=SO" {
		t.Errorf("the keys are %v, %v", names, err)
	}
}

func TestEveryChangedBitOfABackupIsNoticed(t *testing.T) {
	data := made(t, nil)
	for at := range data {
		data[at] ^= 1 << (at % 8)
		if _, err := check(data); !fault.Is(err, fault.Malformed) {
			t.Fatalf("byte %d of %d: %v", at, len(data), err)
		}
		data[at] ^= 1 << (at % 8)
	}
	for size := range len(data) {
		if _, err := check(data[:size]); !fault.Is(err, fault.Malformed) {
			t.Fatalf("cut at %d of %d: %v", size, len(data), err)
		}
	}
}

// TestABackupThatWasMadeToHarmIsRefused: its hashes are all right.
func TestABackupThatWasMadeToHarmIsRefused(t *testing.T) {
	entry := func(header tar.Header, content string) func(*writer) {
		return func(w *writer) {
			header.Size, header.Format = int64(len(content)), tar.FormatUSTAR
			if err := errors.Join(w.tar.WriteHeader(&header), second(w.tar.Write([]byte(content)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(*writer){
		"a path outside":       entry(tar.Header{Name: "keys/../../passwd", Typeflag: tar.TypeReg}, "x"),
		"an absolute path":     entry(tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}, "x"),
		"a hidden key":         entry(tar.Header{Name: "keys/.x", Typeflag: tar.TypeReg}, "x"),
		"a link":               entry(tar.Header{Name: "keys/x", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, ""),
		"a folder":             entry(tar.Header{Name: "keys/x", Typeflag: tar.TypeDir}, ""),
		"a large key":          entry(tar.Header{Name: "keys/x", Typeflag: tar.TypeReg}, strings.Repeat("x", maxKeyPart+1)),
		"a part not named":     entry(tar.Header{Name: "keys/x", Typeflag: tar.TypeReg}, "x"),
		"two manifests":        entry(tar.Header{Name: manifestName, Typeflag: tar.TypeReg}, "{}"),
		"a manifest too short": func(w *writer) { w.manifest.Parts = w.manifest.Parts[:2] },
		"a manifest of others": func(w *writer) { w.manifest.Parts[0].SHA256 = w.manifest.Parts[1].SHA256 },
		"a newer version":      func(w *writer) { w.manifest.Version = 2 },
	} {
		if _, err := check(made(t, change)); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ int, err error) error { return err }

func FuzzReadManifest(f *testing.F) {
	f.Add(made(f, nil)[:len(made(f, nil))-trailerSize])
	f.Add([]byte(strings.Repeat("\x00", 1024)))
	f.Fuzz(func(t *testing.T, body []byte) {
		// With a hash that fits: what is behind it must stand by itself.
		body = append(bytes.Clone(body), make([]byte, (512-len(body)%512)%512)...)
		sum := sha256.Sum256(body)
		data := append(body, trailer(sum[:])...)
		if _, err := check(data); err != nil && !fault.Is(err, fault.Malformed) {
			t.Fatalf("refused with %v", err)
		}
	})
}
