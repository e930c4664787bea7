package seal_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/seal"
)

var modified = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func entry(path string) seal.Entry {
	return seal.Entry{Path: path, Size: 5, Type: "text/plain", Modified: modified, Root: seal.Hash{1}}
}

// listing encodes entries under a header that counts them.
func listing(t *testing.T, entries ...seal.Entry) string {
	t.Helper()
	text, err := seal.AppendHeader(nil, seal.ListingHeader{Catalog: "films", Revision: 3, Entries: len(entries)})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if text, err = seal.AppendEntry(text, e); err != nil {
			t.Fatal(err)
		}
	}
	return string(text)
}

// readListing reads text to its end and gives the first error that is not io.EOF.
func readListing(text string) (seal.ListingHeader, []seal.Entry, error) {
	l, err := seal.NewListingReader(strings.NewReader(text))
	if err != nil {
		return seal.ListingHeader{}, nil, err
	}
	var entries []seal.Entry
	for {
		e, err := l.Next()
		if err == io.EOF {
			return l.Header(), entries, nil
		}
		if err != nil {
			return l.Header(), entries, err
		}
		entries = append(entries, e)
	}
}

func TestListingIsOneObjectALine(t *testing.T) {
	described := entry("b")
	described.Description = "the\nsecond"
	root := "01" + strings.Repeat("0", 62)
	want := `{"catalog":"films","revision":3,"entries":2}` + "\n" +
		`{"path":"a \"<&>","size":5,"type":"text/plain","modified":"2026-02-03T04:05:06Z","root":"` + root + `"}` + "\n" +
		`{"path":"b","size":5,"type":"text/plain","modified":"2026-02-03T04:05:06Z","root":"` + root + `","description":"the\nsecond"}` + "\n"
	if diff := cmp.Diff(want, listing(t, entry(`a "<&>`), described)); diff != "" {
		t.Error(diff)
	}
}

func TestListingRoundTrips(t *testing.T) {
	long := strings.Repeat("z", seal.MaxPath)
	want := []seal.Entry{ // in bytewise order, which a reader insists on
		entry("Zebra"), entry("a"), entry("a\nb"), entry("a b"), entry("a/b"), entry(long), entry("ä/\"quoted\""), entry("日本/映画.mkv"),
	}
	want[1].Description = strings.Repeat("\x01", seal.MaxDescription)
	want[2].Modified = modified.Add(7 * time.Millisecond)
	header, got, err := readListing(listing(t, want...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if header != (seal.ListingHeader{Catalog: "films", Revision: 3, Entries: len(want)}) {
		t.Errorf("the header is %+v", header)
	}
}

func TestListingThatBreaksARuleIsRefused(t *testing.T) {
	good := listing(t, entry("a"), entry("b"))
	lines := strings.SplitAfter(good, "\n")
	tests := map[string]string{
		"nothing":            "",
		"no end of a line":   strings.TrimSuffix(good, "\n"),
		"an empty line":      good + "\n",
		"too few entries":    lines[0] + lines[1],
		"too many entries":   good + strings.Replace(lines[2], `"b"`, `"c"`, 1),
		"out of order":       lines[0] + lines[2] + lines[1],
		"twice":              lines[0] + lines[1] + lines[1],
		"carriage returns":   strings.ReplaceAll(good, "\n", "\r\n"),
		"a long line":        lines[0] + `{"path":"` + strings.Repeat("x", 40<<10),
		"a path that leaves": strings.Replace(good, `"a"`, `"../a"`, 1),
		"another order":      strings.Replace(good, `"catalog":"films","revision":3`, `"revision":3,"catalog":"films"`, 1),
		"a bad name":         strings.Replace(good, "films", "Films", 1),
		"a huge revision":    strings.Replace(good, `"revision":3`, `"revision":9007199254740992`, 1),
		"a negative count":   strings.Replace(good, `"entries":2`, `"entries":-2`, 1),
		"a huge count":       strings.Replace(good, `"entries":2`, `"entries":2000000000`, 1),
		"a negative size":    strings.Replace(good, `"size":5`, `"size":-5`, 1),
		"no type":            strings.Replace(good, "text/plain", "", 1),
		"a type with lines":  strings.Replace(good, "text/plain", `text/plain\n`, 1),
		"a time before 1970": strings.Replace(good, "2026", "1969", 1),
		"a time with a zone": strings.Replace(good, "06Z", "06+01:00", 1),
	}
	for name, text := range tests {
		if _, _, err := readListing(text); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%s: error is %v, want ErrMalformed", name, err)
		}
	}
}

func TestEntriesOutOfBoundsAreNotListed(t *testing.T) {
	changes := []func(*seal.Entry){
		func(e *seal.Entry) { e.Path = "" },
		func(e *seal.Entry) { e.Size = -1 },
		func(e *seal.Entry) { e.Type = strings.Repeat("a/", seal.MaxType) },
		func(e *seal.Entry) { e.Description = strings.Repeat("x", seal.MaxDescription+1) },
		func(e *seal.Entry) { e.Description = "\xff" },
		func(e *seal.Entry) { e.Modified = time.Time{} },
	}
	for i, change := range changes {
		e := entry("a")
		change(&e)
		if _, err := seal.AppendEntry(nil, e); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("change %d: error is %v, want ErrMalformed", i, err)
		}
	}
}

func TestValidPaths(t *testing.T) {
	for _, path := range []string{
		"a", ".a", "a.", "...", "a/b/c", " ", "a b", "a\nb", `a"b`, `a\b`, "..a/b..", "ä", "日本",
		"a/" + strings.Repeat("x", seal.MaxPath-2),
	} {
		if err := seal.ValidPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "..", "a/..", "a\x00b", "\xff", "a/\xc3",
		strings.Repeat("x", seal.MaxPath+1),
	} {
		if err := seal.ValidPath(path); !errors.Is(err, seal.ErrPath) {
			t.Errorf("%q: error is %v, want ErrPath", path, err)
		}
	}
}
