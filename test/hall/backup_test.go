package hall_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/backup"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
)

func TestARunningHubComesBackFromItsBackup(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	films := t.TempDir()
	content := random(400_000)
	write(t, films, map[string][]byte{"holiday.mp4": content})
	alice.MustAdd("films", films)
	alice.MustShare("films", bob)
	room(t, alice, bob)
	code := loses(t, bob).code
	session, err := alice.Enter(ctx, 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	const before = 50
	for i := range before {
		if _, err := session.Say(ctx, "general", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	stop := talks(t, session, before)
	file := filepath.Join(t.TempDir(), "hub.backup")
	made, err := backup.Write(ctx, hall.Dir, file)
	said := stop()
	if err != nil {
		t.Fatalf("backup, with %d messages said meanwhile: %v", said, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes {
		t.Errorf("the file is %v, %v", info, err)
	}
	hall.Stop()
	elsewhere := filepath.Join(t.TempDir(), "deep", "elsewhere")
	report, err := backup.Restore(ctx, file, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if report.People != 2 || report.Rooms != 1 || len(report.Problems) != 0 || report.Messages < before {
		t.Errorf("restored %+v", report)
	}
	hall.Move(elsewhere)

	hubtest.Eventually(t, "bob reads what was said before the backup began", func() bool {
		return comesWith(t, bob, before)
	})
	names, err := bob.People(ctx)
	if err != nil || len(names) != 2 {
		t.Errorf("the people are %v, %v", names, err)
	}
	if _, err := bob.Say(ctx, "general", "still here"); err != nil {
		t.Error(err)
	}
	alice.Serving()
	gets(t, bob, "alice/films/holiday.mp4", content)
	back, _ := lost{bob, code}.comesBack(t, hall)
	if !comesWith(t, back, before) {
		t.Error("bob came back without the history")
	}
	if hall.Invite() != "" {
		t.Error("the restored hub takes itself for a new one")
	}
}

// talks says numbers in the room general until it is told to stop; it returns how many.
func talks(t *testing.T, session *client.Session, from int) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(hubtest.Context(t))
	var done sync.WaitGroup
	said := 0
	done.Go(func() {
		for i := from; ctx.Err() == nil; i++ {
			if _, err := session.Say(ctx, "general", fmt.Sprint(i)); err == nil {
				said++
			}
		}
	})
	return func() int { cancel(); done.Wait(); return said }
}

// comesWith reports whether a member reads the numbers from 0 in order, and at least so
// many of them.
func comesWith(t *testing.T, m *hubtest.Member, least int) bool {
	t.Helper()
	messages, skipped, err := m.History(hubtest.Context(t), "general", 500)
	if err != nil {
		if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		return false
	}
	if len(skipped) > 0 {
		t.Fatalf("skipped: %v", skipped)
	}
	for i, message := range messages {
		if message.Text != "still here" && message.Text != fmt.Sprint(i) {
			t.Fatalf("%d is %q", i, message.Text)
		}
	}
	return len(messages) >= least
}

func TestADamagedBackupIsRefused(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	room(t, alice, hall.Join("bob"))
	ctx := hubtest.Context(t)
	file := filepath.Join(t.TempDir(), "hub.backup")
	if _, err := backup.Write(ctx, hall.Dir, file); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Write(ctx, hall.Dir, file); !fault.Is(err, fault.Taken) {
		t.Errorf("over a file that is there: %v", err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"nothing": {}, "half": whole[:len(whole)/2/512*512], "a byte less": whole[:len(whole)-1],
		"a byte more": append(append([]byte{}, whole...), 0), "zeros at the end": append(append([]byte{}, whole...), make([]byte, 1024)...),
		"text": []byte(strings.Repeat("hello ", 1000)), "zeros": make([]byte, 8192),
	}
	for at := 0; at < len(whole); at += len(whole)/97 + 1 {
		flipped := append([]byte{}, whole...)
		flipped[at] ^= 1
		damaged[fmt.Sprintf("byte %d changed", at)] = flipped
	}
	flipped := append([]byte{}, whole...)
	flipped[len(whole)-1] ^= 1
	damaged["the last byte changed"] = flipped
	for name, data := range damaged {
		bad, into := filepath.Join(t.TempDir(), "bad"), filepath.Join(t.TempDir(), "new")
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := backup.Restore(ctx, bad, into)
		if !fault.Is(err, fault.Malformed) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(into); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was left behind", name)
		}
	}
}

func TestABackupGoesIntoAFreeFolder(t *testing.T) {
	hall := hubtest.Start(t)
	hall.Join("alice")
	ctx := hubtest.Context(t)
	file := filepath.Join(t.TempDir(), "hub.backup")
	if _, err := backup.Write(ctx, hall.Dir, file); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(ctx, file, hall.Dir); !fault.Is(err, fault.Taken) {
		t.Errorf("over the running hub: %v", err)
	}
	parent := t.TempDir()
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(ctx, file, empty); err != nil {
		t.Errorf("into an empty folder: %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
		t.Errorf("beside it there are %v, %v", left, err)
	}
	hall.Stop()
	if _, err := backup.Write(ctx, hall.Dir, file+"2"); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a hub that does not run: %v", err)
	}
	hall.Restart()
}
