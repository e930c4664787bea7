package hall_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

// lost is a member whose folder is gone, and who has a recovery code.
type lost struct {
	*hubtest.Member
	code string
}

// loses makes a recovery code for a member whose profile is then as good as gone: a thief
// has it.
func loses(t *testing.T, m *hubtest.Member) lost {
	t.Helper()
	made, err := m.MakeRecovery(hubtest.Context(t))
	if err != nil {
		t.Fatalf("make a recovery code: %v", err)
	}
	return lost{m, made.Code}
}

// comesBack recovers a member on another machine.
func (l lost) comesBack(t *testing.T, hall *hubtest.Hall) (*hubtest.Member, *client.Recovered) {
	t.Helper()
	back, err := client.Recover(hubtest.Context(t), filepath.Join(t.TempDir(), "new machine"), client.RecoverRequest{
		URL: hall.HTTP(), Code: l.code, Device: "new-laptop",
	})
	if err != nil {
		t.Fatalf("come back: %v", err)
	}
	return hall.Connect(back.Profile), back
}

func TestALostMemberComesBackWithEverything(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	films, music := t.TempDir(), t.TempDir()
	content := random(700_000)
	write(t, films, map[string][]byte{"holiday.mp4": content})
	write(t, music, map[string][]byte{"song.ogg": content[:1000]})
	alice.MustAdd("films", films)
	alice.MustAdd("music", music)
	stop := alice.Serving()
	alice.MustShare("films", bob)
	alice.MustShare("music", bob)
	books := t.TempDir()
	write(t, books, map[string][]byte{"a book.epub": []byte("once upon a time")})
	bob.MustAdd("books", books)
	bob.Serving()
	bob.MustShare("books", alice)
	room(t, alice, bob)
	for _, text := range []string{"one", "two"} {
		if _, err := alice.Say(ctx, "general", text); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	gone := loses(t, alice)
	write(t, filepath.Dir(music), map[string][]byte{"elsewhere/song.ogg": content[:1000]})
	if err := os.RemoveAll(music); err != nil {
		t.Fatal(err)
	}

	back, what := gone.comesBack(t, hall)
	if what.Revoked != "laptop" || len(what.Devices) != 0 || len(what.Problems) != 0 {
		t.Errorf("came back as %+v", what)
	}
	if who := back.Profile.Settings; who.Account != alice.Profile.Settings.Account || who.Handle != "alice" {
		t.Errorf("came back as %+v", who)
	}
	reads(t, back, "one", "two")
	if _, err := back.Say(ctx, "general", "I am back"); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Say(ctx, "general", "welcome"); err != nil {
		t.Fatal(err)
	}
	reads(t, back, "one", "two", "I am back", "welcome")
	reads(t, bob, "one", "two", "I am back", "welcome")

	// What was shared with her, and what she shared: one folder is where it was, the other
	// is added anew under its name.
	gets(t, back, "bob/books/a book.epub", []byte("once upon a time"))
	back.MustAdd("music", filepath.Join(filepath.Dir(music), "elsewhere"))
	back.Serving()
	gets(t, bob, "alice/films/holiday.mp4", content)
	gets(t, bob, "alice/music/song.ogg", content[:1000])
}

func TestTheLostDeviceIsRefusedEverywhere(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	books := t.TempDir()
	write(t, books, map[string][]byte{"a book.epub": []byte("once upon a time")})
	bob.MustAdd("books", books)
	bob.Serving()
	bob.MustShare("books", alice)
	session, err := alice.Enter(ctx, 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	gone := loses(t, alice)
	back, _ := gone.comesBack(t, hall)

	hubtest.Eventually(t, "the open session of the lost device ends", func() bool {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := session.Say(soon, "general", "it is me, alice")
		return err != nil
	})
	hubtest.Eventually(t, "the account refuses the lost device", func() bool {
		nc, err := nats.Connect(hall.NATS(), nats.UserJWTAndSeed(alice.Profile.Settings.Token, deviceSeed(t, alice)))
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	if err := entersRooms(t, hall, back); err != nil {
		t.Errorf("the rooms do not let the new device in: %v", err)
	}
	if err := entersRooms(t, hall, alice); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the rooms about the lost device: %v", err)
	}
	if _, err := bob.Say(ctx, "general", "is that you?"); err != nil {
		t.Fatal(err)
	}
	messages, _, err := bob.History(ctx, "general", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		if strings.Contains(message.Text, "it is me") && message.Seq > 1 {
			t.Errorf("bob believes the lost device: %+v", message)
		}
	}
	if _, err := back.MakeRecovery(ctx); err != nil {
		t.Errorf("the new device makes a code: %v", err)
	}
}

func TestACodeBringsBackAgainAndOnlyTheNewest(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	first := loses(t, alice)
	second := loses(t, alice)
	refused := func(code, why string) {
		t.Helper()
		_, err := client.Recover(ctx, t.TempDir(), client.RecoverRequest{URL: hall.HTTP(), Code: code, Device: "x"})
		if !fault.Is(err, fault.Refused) {
			t.Errorf("%s: %v, want a refusal", why, err)
		}
	}
	refused(first.code, "a code that was replaced")
	refused(trust.NewRecovery("OBOGUS").Code(), "a code of another hub")
	hub, err := trust.ParseHub(alice.Profile.Settings.Hub)
	if err != nil {
		t.Fatal(err)
	}
	refused(trust.NewRecovery(hub.ID).Code(), "a code that nobody made")

	back, _ := second.comesBack(t, hall)
	if _, err := bob.Say(ctx, "general", "under the new epoch"); err != nil {
		t.Fatal(err)
	}
	again, what := lost{back, second.code}.comesBack(t, hall)
	if what.Revoked != "new-laptop" {
		t.Errorf("the second time it revoked %q", what.Revoked)
	}
	reads(t, again, "under the new epoch")
	devices, err := again.Devices(ctx)
	if err != nil || len(devices) != 3 || !devices[0].Revoked || !devices[1].Revoked || devices[2].Revoked {
		t.Errorf("alice has %+v, %v", devices, err)
	}
}

func TestARecoveryGoesIntoAFreeFolder(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	gone := loses(t, alice)
	request := client.RecoverRequest{URL: hall.HTTP(), Code: gone.code, Device: "x"}
	if _, err := client.Recover(hubtest.Context(t), bob.Profile.Dir(), request); !fault.Is(err, fault.Taken) {
		t.Errorf("into bob's folder: %v", err)
	}
	half := filepath.Join(t.TempDir(), "half")
	if err := os.CopyFS(half, os.DirFS(bob.Profile.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(half, "profile.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Recover(hubtest.Context(t), half, request); !fault.Is(err, fault.Taken) {
		t.Errorf("over the keys of a join on its way: %v", err)
	}
}

func TestAnInterruptedRecoveryGoesOn(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	gone := loses(t, alice)
	back, _ := gone.comesBack(t, hall)
	dir := back.Profile.Dir()
	key := deviceKey(t, back)

	// As if the program had ended before it could take the note away.
	note := []byte(`{"lost":"` + deviceKey(t, alice) + `","seq":1,"head":"` + head(t, alice) + `","catalogs":[]}`)
	if err := os.WriteFile(filepath.Join(dir, "recovery.json"), note, 0o600); err != nil {
		t.Fatal(err)
	}
	findings := diagnose(t, dir)
	if findings["recovery"] != client.Problem {
		t.Errorf("doctor says %v", findings)
	}
	again, err := client.Recover(ctx, dir, client.RecoverRequest{URL: hall.HTTP(), Code: gone.code, Device: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if deviceKey(t, hall.Connect(again.Profile)) != key || again.Revoked != "" {
		t.Errorf("it began anew: %+v", again)
	}
	if findings := diagnose(t, dir); findings["recovery"] != client.Fine {
		t.Errorf("doctor says %v", findings)
	}
	if findings := diagnose(t, bob.Profile.Dir()); findings["recovery"] != client.Note {
		t.Errorf("doctor says of bob, who has no code, %v", findings)
	}
}

// TestARecoveryThatIsCutOffAnywhereGoesOn cuts each try off a little later than the one
// before, until one comes through.
func TestARecoveryThatIsCutOffAnywhereGoesOn(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	if _, err := alice.Say(ctx, "general", "before"); err != nil {
		t.Fatal(err)
	}
	gone := loses(t, alice)
	request := client.RecoverRequest{URL: hall.HTTP(), Code: gone.code, Device: "new-laptop"}
	dir := filepath.Join(t.TempDir(), "new machine")
	var back *client.Recovered
	tries := 0
	for limit := 20 * time.Millisecond; back == nil; limit += limit / 2 { // the hub hands a backup out ten times
		if ctx.Err() != nil {
			t.Fatal("it never comes through")
		}
		tries++
		cut, cancel := context.WithTimeout(ctx, limit)
		back, _ = client.Recover(cut, dir, request)
		cancel()
	}
	t.Logf("it came through at try %d", tries)
	again := hall.Connect(back.Profile)
	if _, err := bob.Say(ctx, "general", "after"); err != nil {
		t.Fatal(err)
	}
	reads(t, again, "before", "after")
	devices, err := again.Devices(ctx)
	if err != nil || len(devices) != 2 || !devices[0].Revoked || devices[1].Revoked {
		t.Errorf("alice has %+v, %v", devices, err)
	}
	third, _ := gone.comesBack(t, hall)
	reads(t, third, "before", "after")
}

func reads(t *testing.T, m *hubtest.Member, want ...string) {
	t.Helper()
	messages, skipped, err := m.History(hubtest.Context(t), "general", 100)
	if err != nil || len(skipped) != 0 {
		t.Fatalf("history: %v, skipped %v", err, skipped)
	}
	var got []string
	for _, message := range messages {
		got = append(got, message.Text)
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("reads %q, want %q", got, want)
	}
}

func gets(t *testing.T, m *hubtest.Member, ref string, want []byte) {
	t.Helper()
	to := t.TempDir()
	hubtest.Eventually(t, ref+" can be fetched", func() bool {
		_, err := m.Get(hubtest.Context(t), ref, to, nil)
		return err == nil
	})
	got, err := os.ReadFile(filepath.Join(to, filepath.Base(ref)))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s came as %d bytes, %v", ref, len(got), err)
	}
}

// entersRooms logs in to the rooms with a member's device, by hand.
func entersRooms(t *testing.T, hall *hubtest.Hall, m *hubtest.Member) error {
	t.Helper()
	key, err := trust.ParseSeed(trust.Device, []byte(deviceSeed(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(nonce []byte) ([]byte, error) {
		sig := key.Sign(nonce)
		return sig[:], nil
	}
	nc, err := nats.Connect(hall.NATS(), nats.UserInfo("rooms "+key.String()+" ", ""), nats.Nkey(key.String(), sign))
	if err == nil {
		nc.Close()
	}
	return err
}

func diagnose(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	client.Diagnose(hubtest.Context(t), dir, func(f client.Finding) { found[f.Check] = f.State })
	return found
}

func deviceSeed(t *testing.T, m *hubtest.Member) string {
	t.Helper()
	seed, err := os.ReadFile(filepath.Join(m.Profile.Dir(), "keys", "device.nk"))
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}

func deviceKey(t *testing.T, m *hubtest.Member) string {
	t.Helper()
	key, err := trust.ParseSeed(trust.Device, []byte(deviceSeed(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	return key.String()
}

// head is the hash of the first event of a member's chain, as their profile knows it.
func head(t *testing.T, m *hubtest.Member) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Profile.Dir(), "people", m.Profile.Settings.Account+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Person struct {
			Places map[string]uint64 `json:"places"`
		} `json:"person"`
	}
	if err := json.Unmarshal(data, &page); err != nil {
		t.Fatal(err)
	}
	for hash, place := range page.Person.Places {
		if place == 1 {
			return hash
		}
	}
	t.Fatal("the profile knows no first event")
	return ""
}
