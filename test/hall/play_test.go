package hall_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/seal"
)

// playing is a film of alice's that bob may read.
type playing struct {
	alice, bob *hubtest.Member
	film       []byte
	dir        string
	stop       func() // serving
}

func startPlaying(t *testing.T, size int) *playing {
	t.Helper()
	hall := hubtest.Start(t)
	p := &playing{alice: hall.Join("alice"), bob: hall.Join("bob"), film: random(size), dir: t.TempDir()}
	write(t, p.dir, map[string][]byte{"sub/long.mkv": p.film, "sub/empty": {}})
	p.alice.MustAdd("films", p.dir)
	p.stop = p.alice.Serving()
	p.alice.MustShare("films", p.bob)
	return p
}

func (p *playing) open(t *testing.T, path string) *client.Media {
	t.Helper()
	media, err := p.bob.Open(hubtest.Context(t), "alice/films/"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(media.Close)
	return media
}

// part reads some bytes from somewhere and holds them against the film.
func (p *playing) part(t *testing.T, from io.ReadSeeker, at, length int) {
	t.Helper()
	if _, err := from.Seek(int64(at), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, length)
	if _, err := io.ReadFull(from, got); err != nil || !bytes.Equal(got, p.film[at:at+length]) {
		t.Fatalf("%d bytes from %d on are not the film's: %v", length, at, err)
	}
}

func TestAFilmIsReadFromAnywhereWhileItIsFetched(t *testing.T) {
	p := startPlaying(t, 50*seal.BlockSize+77) // more than is kept in memory
	media := p.open(t, "sub/long.mkv")
	if media.Name != "long.mkv" || media.Entry.Size != int64(len(p.film)) {
		t.Errorf("opened %+v", media)
	}
	reader := media.Reader(hubtest.Context(t))
	for range 4 { // more than an owner answers in one transfer
		p.part(t, reader, 0, len(p.film))
	}
	if n, err := reader.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end, %d bytes came: %v", n, err)
	}
	other := media.Reader(hubtest.Context(t))
	defer other.Close()
	for _, at := range []int{len(p.film) - 1, 0, 30*seal.BlockSize - 5, 5, 31 * seal.BlockSize, len(p.film) - 77} {
		p.part(t, reader, at, min(40, len(p.film)-at))
		p.part(t, other, len(p.film)-at-1, min(at, 3*seal.BlockSize))
	}
	for range 20 {
		at := rand.IntN(len(p.film))
		p.part(t, reader, at, rand.IntN(min(len(p.film)-at, 2*seal.BlockSize)))
	}
	if n, err := p.open(t, "sub/empty").Reader(hubtest.Context(t)).Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("of nothing, %d bytes came: %v", n, err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if _, err := reader.Seek(0, io.SeekStart); err != nil {
		t.Error(err)
	}
	if _, err := reader.Read(make([]byte, 1)); err == nil {
		t.Error("a reader that is closed goes on")
	}
}

func TestOnlyAFileThatIsThereIsOpened(t *testing.T) {
	p := startPlaying(t, 100)
	ctx := hubtest.Context(t)
	for ref, want := range map[string]fault.Code{
		"alice/films": fault.Malformed, "alice/films/": fault.Malformed, "alice/films/sub": fault.Malformed,
		"alice/films/nothing": fault.NotFound, "alice/other/x": fault.NotFound,
	} {
		if _, err := p.bob.Open(ctx, ref); !fault.Is(err, want) {
			t.Errorf("%s: %v, want %s", ref, err, want)
		}
	}
	p.stop()
	if _, err := p.bob.Open(ctx, "alice/films/sub/long.mkv"); !errors.Is(err, client.ErrOffline) {
		t.Errorf("of an owner who is away: %v", err)
	}
}

func TestAFilmGoesOnWhenItsOwnerHasForgottenTheTransfer(t *testing.T) {
	p := startPlaying(t, 60*seal.BlockSize)
	media := p.open(t, "sub/long.mkv")
	reader := media.Reader(hubtest.Context(t))
	p.part(t, reader, 0, 10)
	p.stop()
	if _, err := reader.Seek(59*seal.BlockSize, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, client.ErrOffline) {
		t.Errorf("while nobody serves: %v", err)
	}
	p.part(t, reader, 5, 10) // is here
	p.alice.Serving()
	p.part(t, reader, 40*seal.BlockSize, 10*seal.BlockSize)
}

func TestTheEndOfAShareEndsAFilm(t *testing.T) {
	p := startPlaying(t, 120*seal.BlockSize)
	reader := p.open(t, "sub/long.mkv").Reader(hubtest.Context(t))
	p.part(t, reader, 0, 10)
	if err := p.alice.Hall().Connect(p.alice.Profile).Unshare(hubtest.Context(t), "films", "bob"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, reader); !fault.Is(err, fault.Refused) {
		t.Errorf("%d bytes came, and then %v", n, err)
	}
}

func TestAFilmThatChangesIsNotPlayedOn(t *testing.T) {
	p := startPlaying(t, 120*seal.BlockSize)
	reader := p.open(t, "sub/long.mkv").Reader(hubtest.Context(t))
	p.part(t, reader, 0, 10)
	write(t, p.dir, map[string][]byte{"sub/long.mkv": random(120 * seal.BlockSize)})
	if n, err := io.Copy(io.Discard, reader); !errors.Is(err, client.ErrChanged) {
		t.Errorf("%d bytes came, and then %v", n, err)
	}
}
