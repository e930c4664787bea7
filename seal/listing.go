package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"keyhall.dev/keyhall/trust"
)

// Bounds of a listing, in bytes except for MaxRevision.
const (
	MaxListing     = 256 << 20
	MaxType        = 127
	MaxDescription = 1024
	MaxRevision    = 1<<53 - 1 // the integers that every JSON parser reads exactly
)

const (
	// maxLine is the length of the longest line: a path and a description all of escapes.
	maxLine = 6*MaxPath + 6*MaxDescription + 1024
	// maxEntries is more than fit: a line has a root of 64 digits and the names of five
	// members.
	maxEntries = MaxListing / 128
)

// ListingHeader is the first line of a listing: the name of the catalog, the revision of
// its content, and how many entries follow.
type ListingHeader struct {
	Catalog  string `json:"catalog"`
	Revision uint64 `json:"revision"`
	Entries  int    `json:"entries"`
}

func (h ListingHeader) check() error {
	if !trust.IsName(h.Catalog) {
		return fmt.Errorf("catalog: %w", trust.ErrName)
	}
	if h.Revision > MaxRevision || h.Entries < 0 || h.Entries > maxEntries {
		return fmt.Errorf("revision %d of %d entries", h.Revision, h.Entries)
	}
	return nil
}

// Entry is one file of a catalog: its path (see ValidPath), size in bytes, MIME type, time
// of its last change, content address, and what its owner says about it.
type Entry struct {
	Path        string    `json:"path"`
	Size        int64     `json:"size"`
	Type        string    `json:"type"`
	Modified    time.Time `json:"modified"`
	Root        Hash      `json:"root"`
	Description string    `json:"description,omitempty"`
}

func (e Entry) check() error {
	if err := ValidPath(e.Path); err != nil {
		return err
	}
	if Blocks(e.Size) == 0 {
		return fmt.Errorf("%w: %d bytes", ErrSize, e.Size)
	}
	if !validType(e.Type) {
		return fmt.Errorf("type %q", e.Type)
	}
	if err := CheckDescription(e.Description); err != nil {
		return err
	}
	return checkTime(e.Modified)
}

// validType reports whether text could be a MIME type: printable ASCII around one '/'
// or more.
func validType(text string) bool {
	slash := false
	for _, c := range []byte(text) {
		if c < 0x20 || c > 0x7e {
			return false
		}
		slash = slash || c == '/'
	}
	return slash && len(text) <= MaxType
}

// CheckDescription returns an error that matches ErrMalformed unless text can describe an
// entry: valid UTF-8 of at most MaxDescription bytes.
func CheckDescription(text string) error {
	if len(text) > MaxDescription || !utf8.ValidString(text) {
		return fmt.Errorf("%w: a description of %d bytes", ErrMalformed, len(text))
	}
	return nil
}

// AppendHeader appends the line of h to dst. The error matches ErrMalformed.
func AppendHeader(dst []byte, h ListingHeader) ([]byte, error) {
	return appendLine(dst, h)
}

// AppendEntry appends the line of e to dst; Modified is brought to UTC and whole
// milliseconds. The error matches ErrMalformed.
func AppendEntry(dst []byte, e Entry) ([]byte, error) {
	e.Modified = wireTime(e.Modified)
	return appendLine(dst, e)
}

func appendLine[B body](dst []byte, line B) ([]byte, error) {
	text, err := encodeBody(line)
	if err != nil {
		return nil, err
	}
	return append(append(dst, text...), '\n'), nil
}

// ListingReader reads a listing line by line and refuses one that breaks a rule of its page:
// an entry out of order or named twice, a count that is wrong, more than MaxListing bytes.
type ListingReader struct {
	lines    *bufio.Reader
	header   ListingHeader
	read     int // entries so far
	bytes    int64
	previous string
}

// NewListingReader reads the first line of a listing from r. The error matches ErrMalformed,
// or is that of r.
func NewListingReader(r io.Reader) (*ListingReader, error) {
	l := &ListingReader{lines: bufio.NewReaderSize(r, maxLine+1)}
	line, err := l.line()
	if err != nil {
		return nil, noEOF(err)
	}
	if l.header, err = parseBody[ListingHeader](line, maxLine); err != nil {
		return nil, err
	}
	return l, nil
}

// Header is the first line.
func (l *ListingReader) Header() ListingHeader { return l.header }

// Next is the next entry, and io.EOF after as many as the header says. Any other error
// matches ErrMalformed, or is that of the underlying reader; entries before it were good.
func (l *ListingReader) Next() (Entry, error) {
	line, err := l.line()
	switch {
	case err == io.EOF && l.read == l.header.Entries:
		return Entry{}, io.EOF
	case err != nil:
		return Entry{}, noEOF(err)
	case l.read == l.header.Entries:
		return Entry{}, fmt.Errorf("%w: more entries than the listing says", ErrMalformed)
	}
	e, err := parseBody[Entry](line, maxLine)
	if err != nil {
		return Entry{}, err
	}
	if e.Path <= l.previous {
		return Entry{}, fmt.Errorf("%w: the path %q out of order", ErrMalformed, e.Path)
	}
	l.previous = e.Path
	l.read++
	return e, nil
}

// line is the next line without its end; io.EOF means that nothing was left.
func (l *ListingReader) line() ([]byte, error) {
	line, err := l.lines.ReadSlice('\n')
	l.bytes += int64(len(line))
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrMalformed, maxLine)
	case err == io.EOF && len(line) > 0:
		return nil, fmt.Errorf("%w: the last line has no end", ErrMalformed)
	case err != nil:
		return nil, err
	case l.bytes > MaxListing:
		return nil, fmt.Errorf("%w: a listing of more than %d bytes", ErrMalformed, MaxListing)
	}
	return line[:len(line)-1], nil
}

// noEOF turns the end of the stream where a line was due into ErrMalformed.
func noEOF(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: the listing ends early", ErrMalformed)
	}
	return err
}
