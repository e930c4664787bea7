package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The joiners stand inside words of some scripts and inside emoji, and move nothing.
const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// clean makes text safe to show on a terminal, on one line. Names of files, messages and
// everything else that others wrote may hold escape sequences that move the cursor,
// recolour, retitle, or make the terminal type; line ends that forge a line of output; and
// marks that turn the writing direction around, so that "exe.jpg" is read where
// "gpj.exe" stands. All of these are shown as escapes, as Go and C write them; bytes that
// are not UTF-8 are too. A second clean changes nothing.
//
// It is for eyes: a backslash that was there looks like one that was put there. Programs
// read --json, which is exact.
func clean(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case shows(r):
			b.WriteRune(r)
		default:
			b.WriteString(escape(r))
		}
		i += size
	}
	return b.String()
}

func isClean(text string) bool {
	for i, r := range text {
		if !shows(r) {
			return false
		}
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return false
		}
	}
	return true
}

// shows reports whether a character is a visible one or a plain space.
func shows(r rune) bool {
	return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) || r == zeroWidthJoiner || r == zeroWidthNonJoiner
}

func escape(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// cleanJSON does the same for a line of JSON, without changing what it says: what a
// terminal could obey stands in strings alone, and there it is written as \u escapes.
func cleanJSON(line []byte) []byte {
	text := string(line)
	if isClean(text) {
		return line
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case shows(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}
