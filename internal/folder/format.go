package folder

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyhall.dev/keyhall/seal"
)

// The format is described in the package comment.
const (
	magic   = "KHINDEX"
	version = 0x01
)

// minEntry is the length of the shortest entry: eight varints and one hash. It bounds what
// a damaged count can make the loader allocate.
const minEntry = 8 + sha256.Size

var (
	// ErrDamaged is the error of bytes that are not a whole index: the folder has to be
	// scanned anew.
	ErrDamaged = errors.New("index is damaged")
	// ErrVersion is the error of an index in the format of a newer program: the folder has
	// to be scanned anew, or the newer program used.
	ErrVersion = errors.New("index has an unknown version")
)

// Encode is the index in the format of the package comment.
func (x *Index) Encode() []byte {
	data := append([]byte(magic), version)
	data = binary.AppendUvarint(data, x.revision)
	types, places := x.types()
	data = binary.AppendUvarint(data, uint64(len(types)))
	for _, t := range types {
		data = appendString(data, t)
	}
	data = binary.AppendUvarint(data, uint64(len(x.entries)))
	previous := ""
	for i := range x.entries {
		data = appendEntry(data, &x.entries[i], previous, places)
		previous = x.entries[i].Path
	}
	data = binary.AppendUvarint(data, uint64(len(x.descriptions)))
	for _, path := range slices.Sorted(maps.Keys(x.descriptions)) {
		data = appendString(data, path)
		data = appendString(data, x.descriptions[path])
	}
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// types lists the types that occur, in the order in which they do, and the place of each.
func (x *Index) types() (types []string, places map[string]uint64) {
	places = map[string]uint64{}
	for i := range x.entries {
		t := x.entries[i].Type
		if _, known := places[t]; !known {
			places[t] = uint64(len(types))
			types = append(types, t)
		}
	}
	return types, places
}

func appendEntry(data []byte, e *Entry, previous string, places map[string]uint64) []byte {
	shared := 0
	for shared < len(previous) && shared < len(e.Path) && previous[shared] == e.Path[shared] {
		shared++
	}
	data = binary.AppendUvarint(data, uint64(shared))
	data = appendString(data, e.Path[shared:])
	data = binary.AppendUvarint(data, uint64(e.Size))
	data = binary.AppendUvarint(data, places[e.Type])
	data = binary.AppendVarint(data, e.stamp.modified)
	data = binary.AppendVarint(data, e.stamp.changed-e.stamp.modified)
	data = binary.AppendUvarint(data, e.stamp.device)
	data = binary.AppendUvarint(data, e.stamp.inode)
	if len(e.leaves) > 1 {
		data = append(data, e.Root[:]...)
	}
	for i := range e.leaves {
		data = append(data, e.leaves[i][:]...)
	}
	return data
}

func appendString(data []byte, s string) []byte {
	return append(binary.AppendUvarint(data, uint64(len(s))), s...)
}

// Parse reads what Encode gives. The error matches ErrDamaged or ErrVersion.
func Parse(data []byte) (*Index, error) {
	body := len(data) - sha256.Size
	switch {
	case body <= len(magic) || string(data[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: it is not an index", ErrDamaged)
	case data[len(magic)] != version:
		return nil, fmt.Errorf("%w: %d", ErrVersion, data[len(magic)])
	case sha256.Sum256(data[:body]) != [sha256.Size]byte(data[body:]):
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	d := decoder{rest: data[len(magic)+1 : body]}
	x := d.index()
	if d.broken || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: its structure is wrong", ErrDamaged)
	}
	return x, nil
}

// decoder reads the parts of an index. After the first that is wrong it is broken and gives
// zero values.
type decoder struct {
	rest   []byte
	broken bool
	arena  []seal.Hash // room for leaves, taken in large pieces
}

func (d *decoder) index() *Index {
	x := &Index{revision: d.uvarint()}
	if x.revision == 0 || x.revision > seal.MaxRevision {
		d.fail()
	}
	types := make([]string, d.count(1))
	for i := range types {
		types[i] = d.string()
	}
	x.entries = make([]Entry, d.count(minEntry))
	previous := ""
	for i := range x.entries {
		e := &x.entries[i]
		d.entry(e, previous, types)
		if i > 0 && e.Path <= previous {
			d.fail()
		}
		if d.broken {
			return nil
		}
		previous = e.Path
	}
	x.descriptions = d.descriptions()
	for path, text := range x.descriptions {
		if i, found := x.find(path); found {
			x.entries[i].Description = text
		}
	}
	return x
}

func (d *decoder) entry(e *Entry, previous string, types []string) {
	shared := d.uvarint()
	rest := d.string()
	size := d.uvarint()
	place := d.uvarint()
	if shared > uint64(len(previous)) || size > seal.MaxSize || place >= uint64(len(types)) {
		d.fail()
		return
	}
	e.Path, e.Size, e.Type = previous[:shared]+rest, int64(size), types[place]
	e.stamp = stamp{size: int64(size), modified: d.varint()}
	e.stamp.changed = e.stamp.modified + d.varint()
	e.stamp.device, e.stamp.inode = d.uvarint(), d.uvarint()
	e.Modified = listed(e.stamp.modified)
	blocks := seal.Blocks(e.Size)
	if blocks > 1 {
		copy(e.Root[:], d.bytes(len(e.Root)))
	}
	if e.leaves = d.leaves(blocks); blocks == 1 && !d.broken {
		e.Root, _ = seal.RootOf(e.Size, e.leaves) // one leaf fits one block
	}
	if seal.ValidPath(e.Path) != nil {
		d.fail()
	}
}

func (d *decoder) leaves(n int64) []seal.Hash {
	if n > int64(len(d.rest)/sha256.Size) {
		d.fail()
		return nil
	}
	const piece = 4096
	if int(n) > len(d.arena) {
		d.arena = make([]seal.Hash, max(int(n), min(piece, len(d.rest)/sha256.Size)))
	}
	leaves := d.arena[:n:n]
	d.arena = d.arena[n:]
	for i := range leaves {
		copy(leaves[i][:], d.bytes(len(leaves[i])))
	}
	return leaves
}

func (d *decoder) descriptions() map[string]string {
	descriptions := make(map[string]string)
	previous := ""
	for i := range d.count(2) {
		path, text := d.string(), d.string()
		if i > 0 && path <= previous || text == "" || seal.ValidPath(path) != nil || seal.CheckDescription(text) != nil {
			d.fail()
		}
		if d.broken {
			return nil
		}
		descriptions[path] = text
		previous = path
	}
	return descriptions
}

func (d *decoder) fail() { d.rest, d.broken = nil, true }

// count is the number of things that follow, each of at least min bytes.
func (d *decoder) count(min int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/min) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part
}

func (d *decoder) string() string { return string(d.bytes(d.count(1))) }
