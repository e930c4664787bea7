package trust

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The bounds of a name after normalization.
const (
	maxNameRunes = 32
	maxNameBytes = 64
)

// ErrName is the error of text that can't be a name.
var ErrName = errors.New("not a valid name")

// Name brings a handle or the name of a device, catalog or room to its one normal form
// (NFKC, case-folded), or says why it can't be one. A name holds only letters, digits,
// '-' and '_': it can't be read as a NATS wildcard, as two tokens or as a path. Errors
// match ErrName.
func Name(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrName)
	}
	if len(text) > 4*maxNameBytes {
		return "", fmt.Errorf("%w: it has more than %d characters", ErrName, maxNameRunes)
	}
	name := folded(text)
	if name == "" {
		return "", fmt.Errorf("%w: it is empty", ErrName)
	}
	if utf8.RuneCountInString(name) > maxNameRunes || len(name) > maxNameBytes {
		return "", fmt.Errorf("%w: it has more than %d characters", ErrName, maxNameRunes)
	}
	var letters script
	previous := rune(0)
	for i, r := range name {
		if err := checkNameRune(r, previous, i == 0); err != nil {
			return "", err
		}
		if !unicode.IsMark(r) && !letters.admits(r) {
			return "", fmt.Errorf("%w: it mixes letters of different scripts", ErrName)
		}
		previous = r
	}
	return name, nil
}

func folded(text string) string {
	return norm.NFKC.String(strings.Map(cherokee, cases.Fold().String(norm.NFKC.String(text))))
}

// cherokee puts the one script right whose letters fold to capitals: the library folds the
// small ones to capitals and the capitals to small ones.
func cherokee(r rune) rune {
	switch {
	case r >= 0xab70 && r <= 0xabbf:
		return r - 0xab70 + 0x13a0
	case r >= 0x13f8 && r <= 0x13fd:
		return r - 0x13f8 + 0x13f0
	}
	return r
}

// IsName reports whether text is a name in its normal form.
func IsName(text string) bool {
	name, err := Name(text)
	return err == nil && name == text
}

func checkNameRune(r, previous rune, first bool) error {
	switch {
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return fmt.Errorf("%w: it holds a character that nobody sees (%U)", ErrName, r)
	case r == '\u0307' && unicode.Is(unicode.Soft_Dotted, previous):
		return fmt.Errorf("%w: it holds a dot on a letter that has one", ErrName)
	case unicode.IsLetter(r), r >= '0' && r <= '9', unicode.Is(unicode.Nd, r) && scriptsOf(r) != nil:
		return nil // the digits of a script go with its letters alone
	case first:
		return fmt.Errorf("%w: it begins with %q; begin with a letter or a digit", ErrName, r)
	case r == '-', r == '_':
		return nil
	case unicode.IsMark(r) && (unicode.IsLetter(previous) || unicode.IsMark(previous)):
		return nil
	}
	return fmt.Errorf("%w: %q is not a letter, a digit, '-' or '_'", ErrName, r)
}

// script is the set of scripts that all letters so far could belong to.
type script struct {
	names []string
	begun bool
}

// admits narrows the set by one more letter and reports whether any script is left.
func (s *script) admits(r rune) bool {
	of := scriptsOf(r)
	if of == nil { // common to all scripts
		return true
	}
	if !s.begun {
		s.names, s.begun = of, true
		return true
	}
	var left []string
	for _, a := range s.names {
		for _, b := range of {
			if a == b {
				left = append(left, a)
			}
		}
	}
	s.names = left
	return len(left) > 0
}

// scriptsOf gives the writing systems a letter takes part in: Japanese, Korean and
// Taiwanese texts mix Han with scripts of their own (UTS 39, section 5.1).
func scriptsOf(r rune) []string {
	switch {
	case unicode.In(r, unicode.Common, unicode.Inherited):
		return nil
	case unicode.Is(unicode.Han, r):
		return []string{"Han", "Japanese", "Korean", "HanBopomofo"}
	case unicode.In(r, unicode.Hiragana, unicode.Katakana):
		return []string{"Japanese"}
	case unicode.Is(unicode.Hangul, r):
		return []string{"Korean"}
	case unicode.Is(unicode.Bopomofo, r):
		return []string{"HanBopomofo"}
	case unicode.Is(unicode.Latin, r):
		return []string{"Latin"}
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return []string{name}
		}
	}
	return nil
}
