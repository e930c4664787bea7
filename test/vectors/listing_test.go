package vectors_test

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

type listingFile struct {
	about
	Cases   []listingCase    `json:"cases"`
	Refused []listingRefusal `json:"refused"`
	Paths   []pathCase       `json:"paths"`
}

type listingCase struct {
	Name     string   `json:"name"`
	Text     string   `json:"text"`
	Catalog  string   `json:"catalog"`
	Revision uint64   `json:"revision"`
	Paths    []string `json:"paths"`
	Root     octets   `json:"root"` // of the listing itself
}

type listingRefusal struct {
	refusal
	Text octets `json:"text"`
}

type pathCase struct {
	Path octets `json:"path"`
	Good bool   `json:"good"`
}

func entryLine(path, more string) string {
	data := content(len(path))
	root := rootOf(int64(len(data)), top(leavesOf(data)))
	return `{"path":` + quoted(path) + `,"size":` + strconv.Itoa(len(data)) + `,"type":"text/plain; charset=utf-8","modified":"2026-11-22T14:08:50.5Z","root":"` +
		seal.Hash(root).String() + `"` + more + "}\n"
}

// quoted is text as canonical JSON says it.
func quoted(text string) string {
	body := get(trust.Canonical(textBody{text}))
	return string(body[len(`{"text":`) : len(body)-1])
}

func makeListings() listingFile {
	f := listingFile{about: about{"Listings, what they name, and what no listing may say.", "transfers.md#the-listing"}}
	add := func(name string, revision string, paths ...string) {
		text := `{"catalog":"films","revision":` + revision + `,"entries":` + strconv.Itoa(len(paths)) + "}\n"
		for i, path := range paths {
			more := ""
			if i == 1 {
				more = `,"description":"a line\nand \"another\""`
			}
			text += entryLine(path, more)
		}
		root := rootOf(int64(len(text)), top(leavesOf([]byte(text))))
		c := listingCase{name, text, "films", 0, paths, root}
		for _, digit := range revision {
			c.Revision = 10*c.Revision + uint64(digit-'0') //nolint:gosec // a digit
		}
		if c.Paths == nil {
			c.Paths = []string{}
		}
		f.Cases = append(f.Cases, c)
	}
	add("empty", "0")
	add("one entry", "1", "a.txt")
	add("several, in the order of their bytes", "9007199254740991", "A", "a", "a b", "a.txt", "a/b", "é", "\uffff", "😀")
	add("odd names", "7", "\t", "\n", " ", `"`, "*?", "...", `C:\x`, "con", "e\u0301")
	good := f.Cases[2].Text
	refuse := func(name, why, text string) {
		f.Refused = append(f.Refused, listingRefusal{refusal{name, why}, octets(text)})
	}
	one := `{"catalog":"films","revision":1,"entries":1}` + "\n"
	refuse("nothing", "header", "")
	refuse("no line end", "line", good[:len(good)-1])
	refuse("a carriage return", "form", changed(f.Cases[1].Text, "1}\n", "1}\r\n"))
	refuse("an empty line", "form", good+"\n")
	refuse("an entry more", "count", good+entryLine("😁", ""))
	refuse("an entry less", "count", changed(good, `"entries":8`, `"entries":9`))
	refuse("the header alone", "count", one)
	refuse("twice the same path", "order", changed(one, ":1}", ":2}")+entryLine("a", "")+entryLine("a", ""))
	refuse("paths in another order", "order", changed(one, ":1}", ":2}")+entryLine("b", "")+entryLine("a", ""))
	refuse("the order of UTF-16", "order", changed(one, ":1}", ":2}")+entryLine("😀", "")+entryLine("\uffff", ""))
	refuse("white space", "form", one+changed(entryLine("a", ""), `"size":`, `"size": `))
	refuse("a member that nobody knows", "form", one+entryLine("a", `,"more":1`))
	refuse("an empty description", "form", one+entryLine("a", `,"description":""`))
	refuse("a description of 1025 bytes", "bounds", one+entryLine("a", `,"description":"`+strings.Repeat("x", 1025)+`"`))
	refuse("a type without a slash", "bounds", one+changed(entryLine("a", ""), "text/plain", "text"))
	refuse("a type beyond ASCII", "bounds", one+changed(entryLine("a", ""), "text/plain", "text/é"))
	refuse("a type of 128 bytes", "bounds", one+changed(entryLine("a", ""), "text/plain; charset=utf-8", "a/"+strings.Repeat("x", 126)))
	refuse("a size above 2^50", "bounds", one+changed(entryLine("a", ""), `"size":1`, `"size":1125899906842625`))
	refuse("a root in capitals", "form", one+changed(entryLine("abc", ""), f3(), strings.ToUpper(f3())))
	refuse("another time zone", "form", one+changed(entryLine("a", ""), "50.5Z", "50.5+00:00"))
	refuse("a path that leads out", "path", one+entryLine("a/../../b", ""))
	refuse("bytes that are not UTF-8", "form", one+changed(entryLine("aé", ""), "aé", "a\xe9"))
	for _, p := range []struct {
		path string
		good bool
	}{
		{"a", true},
		{"a/b/c", true},
		{"...", true},
		{"a b\n\"*?\\", true},
		{".hidden/..x", true},
		{strings.Repeat("x", 4096), true},
		{"", false},
		{".", false},
		{"..", false},
		{"/a", false},
		{"a/", false},
		{"a//b", false},
		{"a/./b", false},
		{"a/../b", false},
		{"../a", false},
		{"a\x00b", false},
		{"a\xff", false},
		{"\xed\xa0\x80", false},
		{strings.Repeat("x", 4097), false},
	} {
		f.Paths = append(f.Paths, pathCase{octets(p.path), p.good})
	}
	return f
}

// f3 is the root of a content of three bytes.
func f3() string {
	data := content(3)
	return seal.Hash(rootOf(3, top(leavesOf(data)))).String()
}

func TestListings(t *testing.T) {
	f := load[listingFile](t, "listing.json")
	for _, c := range f.Cases {
		header, entries, err := parseListing([]byte(c.Text))
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		same(t, c.Name, header.Catalog, c.Catalog)
		same(t, c.Name, header.Revision, c.Revision)
		same(t, c.Name, len(entries), len(c.Paths))
		again, err := seal.AppendHeader(nil, header)
		for i, entry := range entries {
			same(t, c.Name, entry.Path, c.Paths[i])
			if err == nil {
				again, err = seal.AppendEntry(again, entry)
			}
		}
		if err != nil || string(again) != c.Text {
			t.Errorf("%s: written again as %s, %v", c.Name, again, err)
		}
		whole, err := seal.HashReader(bytes.NewReader([]byte(c.Text)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.Name, whole.Root, seal.Hash(c.Root))
	}
	for _, r := range f.Refused {
		_, _, err := parseListing(r.Text)
		wantErr(t, r.Name, err, seal.ErrMalformed)
	}
	for _, p := range f.Paths {
		if err := seal.ValidPath(string(p.Path)); p.Good != (err == nil) {
			t.Errorf("%.40q: %v", p.Path, err)
		}
	}
}

func parseListing(text []byte) (seal.ListingHeader, []seal.Entry, error) {
	reader, err := seal.NewListingReader(bytes.NewReader(text))
	if err != nil {
		return seal.ListingHeader{}, nil, err
	}
	entries := []seal.Entry{}
	for {
		entry, err := reader.Next()
		if err == io.EOF {
			return reader.Header(), entries, nil
		}
		if err != nil {
			return seal.ListingHeader{}, nil, err
		}
		entries = append(entries, entry)
	}
}
