package seal

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPath bounds, in bytes, the path of an entry.
const MaxPath = 4096

// ErrPath is the error of a path that no entry can have.
var ErrPath = errors.New("not the path of an entry")

// ValidPath returns an error that matches ErrPath unless path can stand in a listing: valid
// UTF-8 of 1 to MaxPath bytes, relative, its parts joined by '/', none of them empty, "." or
// "..", and no NUL.
//
// A valid path never leads out of a folder where '/' alone separates. It may still hold
// quotes, newlines, backslashes or a name that some system reserves: programs escape what
// they show, and write through os.Root.
func ValidPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case len(path) > MaxPath:
		return fmt.Errorf("%w: it has more than %d bytes", ErrPath, MaxPath)
	case !utf8.ValidString(path):
		return fmt.Errorf("%w: it is not UTF-8", ErrPath)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%w: it holds a NUL", ErrPath)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: a part of it is %q", ErrPath, part)
		}
	}
	return nil
}
