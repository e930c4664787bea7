package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

func FuzzParseReply(f *testing.F) {
	for _, seed := range []string{vectorBlock0, vectorBlock1, vectorRefusal, "", "00", "01", "02", "03"} {
		f.Add(unhex(seed))
	}
	f.Add([]byte("\x00" + `{"code":"busy","message":"later"}`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		reply, err := seal.ParseReply(msg)
		if err != nil {
			mustMatch(t, err, seal.ErrMalformed)
			return
		}
		switch reply.Kind {
		case seal.KindBlock:
			_, _, err := vectorKeys.OpenBlock(nil, vectorTransfer, 5, 0, bytes.Clone(msg))
			mustMatch(t, err, nil, seal.ErrSealed, seal.ErrMalformed)
		case seal.KindRefusal:
			_, err := vectorKeys.OpenRefusal(vectorTransfer, 7, bytes.Clone(msg))
			mustMatch(t, err, nil, seal.ErrSealed, seal.ErrMalformed)
		case seal.KindPlainRefusal:
			again, err := reply.Reason.AppendPlain(nil)
			if err != nil || !bytes.Equal(again, msg) {
				t.Fatalf("%q comes out as %q, %v", msg, again, err)
			}
		}
	})
}

// mustMatch fails unless err is or wraps one of want.
func mustMatch(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Fatalf("unexpected error: %v", err)
}

func FuzzOpenRead(f *testing.F) {
	f.Add(unhex(vectorRead))
	f.Add(unhex(vectorClose))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, msg []byte) {
		read, err := vectorKeys.OpenRead(vectorTransfer, msg)
		mustMatch(t, err, nil, seal.ErrSealed, seal.ErrMalformed)
		if err == nil && (read.Counter == 0 || len(read.Indexes) > seal.MaxIndexes) {
			t.Fatalf("read %+v", read)
		}
	})
}

// vectorAEAD is the block or read key of the vectors made by hand, to seal what a hostile
// peer with good keys could seal.
func vectorAEAD(kind string) cipher.AEAD {
	secret, err := hkdf.Key(sha256.New, counting(0, 32), counting(32, 32), "\xffkeyhall/"+kind+"/v1\x00", 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func FuzzReadOfAHostileReader(f *testing.F) {
	aead := vectorAEAD("read")
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x05"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x05"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		msg := append(vectorTransfer[:], make([]byte, 12)...)
		msg = aead.Seal(msg, make([]byte, 12), plaintext, vectorTransfer[:])
		read, err := vectorKeys.OpenRead(vectorTransfer, msg)
		if err != nil {
			mustMatch(t, err, seal.ErrMalformed)
			return
		}
		want := append(plaintext[:8:8], 0, byte(len(read.Indexes)))
		for _, index := range read.Indexes {
			want = binary.BigEndian.AppendUint32(want, index)
		}
		if !bytes.Equal(want, plaintext) {
			t.Fatalf("%x was read as %+v", plaintext, read)
		}
	})
}

func FuzzRefusalOfAHostileOwner(f *testing.F) {
	aead := vectorAEAD("block")
	f.Add([]byte(`{"code":"changed","message":"x"}`))
	f.Add([]byte(`{"code":"changed"}`))
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		msg := append([]byte{2}, make([]byte, 12)...)
		ad := append(append([]byte{2}, vectorTransfer[:]...), 0, 0, 0, 0, 0, 0, 0, 7)
		msg = aead.Seal(msg, make([]byte, 12), plaintext, ad)
		reason, err := vectorKeys.OpenRefusal(vectorTransfer, 7, msg)
		if err != nil {
			mustMatch(t, err, seal.ErrMalformed)
			return
		}
		if again, err := trust.Canonical(reason); err != nil || !bytes.Equal(again, plaintext) {
			t.Fatalf("%q comes out as %q, %v", plaintext, again, err)
		}
	})
}

func FuzzParseAnswerMessage(f *testing.F) {
	f.Add([]byte("\x01box"))
	f.Add([]byte("\x00" + `{"code":"refused","message":""}`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		box, reason, err := seal.ParseAnswerMessage(msg)
		if err != nil {
			mustMatch(t, err, seal.ErrMalformed)
		} else if (box == nil) == (reason == nil) {
			t.Fatalf("both or none: %q, %v", box, reason)
		}
	})
}

func FuzzParseBodies(f *testing.F) {
	for _, body := range []interface{ Encode() ([]byte, error) }{request, answer, refusal} {
		data, err := body.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"hub":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := seal.ParseRequest(data)
		checkBody(t, data, r, err)
		a, err := seal.ParseAnswer(data)
		checkBody(t, data, a, err)
		x, err := seal.ParseRefusal(data)
		checkBody(t, data, x, err)
	})
}

func checkBody(t *testing.T, data []byte, body interface{ Encode() ([]byte, error) }, err error) {
	t.Helper()
	if err != nil {
		mustMatch(t, err, seal.ErrMalformed)
		return
	}
	if again, err := body.Encode(); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("%q comes out as %q, %v", data, again, err)
	}
}

func FuzzListingReader(f *testing.F) {
	root := strings.Repeat("0", 64)
	f.Add(`{"catalog":"films","revision":1,"entries":0}` + "\n")
	f.Add(`{"catalog":"films","revision":1,"entries":1}` + "\n" +
		`{"path":"a","size":0,"type":"text/plain","modified":"2026-02-03T04:05:06Z","root":"` + root + `","description":"x"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		header, entries, err := readListing(text)
		if err != nil {
			mustMatch(t, err, seal.ErrMalformed)
			return
		}
		again, err := seal.AppendHeader(nil, header)
		for _, e := range entries {
			if err == nil {
				again, err = seal.AppendEntry(again, e)
			}
		}
		if err != nil || string(again) != text {
			t.Fatalf("%q comes out as %q, %v", text, again, err)
		}
	})
}

func FuzzHashText(f *testing.F) {
	f.Add(strings.Repeat("0a", 32))
	f.Add(strings.Repeat("0A", 32))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := seal.ParseHash(text)
		if err != nil {
			mustMatch(t, err, seal.ErrHash)
		} else if h.String() != text {
			t.Fatalf("%q comes out as %q", text, h)
		}
	})
}

func FuzzValidPath(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "a//b", "a\x00", ".", "ä/ö", `a\..\b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		err := seal.ValidPath(path)
		if err != nil {
			mustMatch(t, err, seal.ErrPath)
			return
		}
		if !fs.ValidPath(path) || path == "." {
			t.Fatalf("%q is no path for io/fs", path)
		}
		if filepath.Separator == '/' && !filepath.IsLocal(path) {
			t.Fatalf("%q leads out", path)
		}
	})
}
