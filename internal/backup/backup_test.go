package backup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/backup"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/recovery"
)

// TestAStreamOfSeveralPartsComesBackToTheByte fills the members' backups until their
// snapshot takes more than one part.
func TestAStreamOfSeveralPartsComesBackToTheByte(t *testing.T) {
	hall := hubtest.Start(t)
	hall.Join("alice")
	ctx := hubtest.Context(t)
	nc := services(t, hall.Dir, hall.NATS())
	bucket := backups(t, nc)
	value := make([]byte, 60<<10)
	for i := range 400 {
		rand.Read(value)
		if _, err := bucket.Put(ctx, fmt.Sprintf("key.%d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	want, times := contents(t, nc)
	file := filepath.Join(t.TempDir(), "hub.backup")
	made, err := backup.Write(ctx, hall.Dir, file)
	if err != nil || made.Bytes < 20<<20 {
		t.Fatalf("%+v, %v", made, err)
	}
	hall.Stop()
	into := filepath.Join(t.TempDir(), "new")
	if _, err := backup.Restore(ctx, file, into); err != nil {
		t.Fatal(err)
	}
	hall.Move(into)
	got, gotTimes := contents(t, services(t, into, hall.NATS()))
	if got != want || gotTimes != times {
		t.Error("the backups of members are others than before")
	}
}

// TestWhoWasSignedInIsSignedInAfterARestore: passwords, and sessions as they were then.
func TestWhoWasSignedInIsSignedInAfterARestore(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	if _, err := alice.SetPasswordAt(ctx, "a good password", hubtest.CheapPassword); err != nil {
		t.Fatal(err)
	}
	kept, ended := alice.Browser("firefox"), alice.Browser("chromium")
	ended.Delete("/api/session", struct{}{})
	file := filepath.Join(t.TempDir(), "hub.backup")
	if _, err := backup.Write(ctx, hall.Dir, file); err != nil {
		t.Fatal(err)
	}
	hall.Stop()
	into := filepath.Join(t.TempDir(), "new")
	if _, err := backup.Restore(ctx, file, into); err != nil {
		t.Fatal(err)
	}
	hall.Move(into)
	hubtest.Eventually(t, "the session is there", func() bool {
		answer := kept.Get("/api/session")
		if answer.Status != 200 && answer.Status != 503 { // 503: the views are not there yet
			t.Fatalf("%d %s", answer.Status, answer.Body)
		}
		return answer.Status == 200
	})
	if answer := ended.Get("/api/session"); answer.Status != 401 {
		t.Errorf("a session that had ended: %d %s", answer.Status, answer.Body)
	}
	if nc, err := ended.Rooms(); err == nil {
		nc.Close()
		t.Error("its device is no browser's any more")
	}
	hall.Browser().Unlock(alice.HubID(), "alice", "a good password")
}

func TestWhatIsCalledOffLeavesNothingBehind(t *testing.T) {
	hall := hubtest.Start(t)
	hall.Join("alice")
	dir := t.TempDir()
	file := filepath.Join(dir, "hub.backup")
	off, cancel := context.WithCancel(hubtest.Context(t))
	cancel()
	if _, err := backup.Write(off, hall.Dir, file); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that was called off: %v", err)
	}
	if _, err := backup.Write(hubtest.Context(t), hall.Dir, file); err != nil {
		t.Fatal(err)
	}
	for limit := time.Millisecond; limit < 300*time.Millisecond; limit *= 2 {
		cut, cancel := context.WithTimeout(hubtest.Context(t), limit)
		_, err := backup.Restore(cut, file, filepath.Join(dir, "new"))
		cancel()
		if err == nil {
			break
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Fatalf("cut off after %s there are %v, %v", limit, left, err)
		}
	}
}

// services connects as the hub's own services do.
func services(t *testing.T, dir, address string) *nats.Conn {
	t.Helper()
	keys, err := natsd.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(address, keys.HubUser.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func backups(t *testing.T, nc *nats.Conn) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(hubtest.Context(t), recovery.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// contents are a digest of the members' backups, and their places and times.
func contents(t *testing.T, nc *nats.Conn) (digest, times string) {
	t.Helper()
	ctx := hubtest.Context(t)
	l, err := ledger.Attach(ctx, nc)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err = l.Digest(ctx, recovery.Bucket); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key.0", "key.399"} {
		entry, err := backups(t, nc).Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		times += fmt.Sprintln(entry.Revision(), entry.Created().UnixNano())
	}
	return digest, times
}
