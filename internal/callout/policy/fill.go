package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

var placeholder = regexp.MustCompile(`\{\{\s*(?:(name)\(\)|claim\(([A-Za-z0-9_.:/-]+)\))\s*\}\}`)

// Fill puts a person's own words into a subject. A word that is not one plain token is
// refused: it would be a wildcard, or several tokens. So is one that would begin the subject
// with $ or _: those are NATS's own, $JS.API.> and the inboxes among them.
func Fill(subject string, person Person) (string, error) {
	filled, err := fill(subject, person, func(what, word string, at int) error {
		if err := callout.CheckToken(word); err != nil {
			return cannotStand(what, err)
		}
		if at == 0 {
			return checkLeading(what, word)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := callout.CheckSubject(filled); err != nil {
		return "", cannotStand(subject, err)
	}
	return filled, nil
}

// fillTag does so for a tag. NATS puts tags into lower case, so ADA's would be ada's; and a
// colon would give a tag another name.
func fillTag(tag string, person Person) (string, error) {
	return fill(tag, person, func(what, word string, _ int) error {
		switch err := callout.CheckToken(word); {
		case err != nil:
			return cannotStand(what, err)
		case strings.ToLower(word) != word:
			return cannotStand(what, errors.New("NATS would put it into lower case, and make somebody else's tag of it"))
		case strings.Contains(word, ":"):
			return cannotStand(what, errors.New("a colon"))
		}
		return checkTemplateWord(what, word)
	})
}

// fill replaces the placeholders of text by words that check takes. It is told at which
// byte of the text each placeholder is.
func fill(text string, person Person, check func(what, word string, at int) error) (string, error) {
	var filled strings.Builder
	rest := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		word := person.Name
		if at[4] >= 0 {
			word = person.Claims[text[at[4]:at[5]]]
		}
		if err := check(strings.Trim(text[at[0]:at[1]], "{} "), word, at[0]); err != nil {
			return "", err
		}
		filled.WriteString(text[rest:at[0]])
		filled.WriteString(word)
		rest = at[1]
	}
	if strings.Contains(text[rest:], "{{") || strings.Contains(literal(text, ""), "{{") {
		return "", fault.New(fault.Internal, "%q holds something else than {{name()}} and {{claim(x)}}", text)
	}
	filled.WriteString(text[rest:])
	return filled.String(), nil
}

// literal is a text with something in the place of its placeholders.
func literal(text, word string) string { return placeholder.ReplaceAllLiteralString(text, word) }

func checkLeading(what, word string) error {
	if err := callout.CheckToken(word); err != nil {
		return cannotStand(what, err)
	}
	if word[0] == '$' || word[0] == '_' {
		return cannotStand(what, errors.New("it begins as only NATS's own subjects do"))
	}
	return nil
}

// checkTemplateWord takes what the server may put into a signing key's template, of which
// nothing is known here: it fills in one placeholder after the other, in what it has filled
// in already.
func checkTemplateWord(what, word string) error {
	if strings.ContainsAny(word, "{}") {
		return cannotStand(what, errors.New("braces"))
	}
	return checkLeading(what, word)
}

func cannotStand(what string, err error) error {
	return fault.Wrap(fault.Refused, err, "%s cannot stand in a subject or a tag: %v", what, err)
}

// checkPattern takes what is a subject once it is filled in.
func checkPattern(subject string) error {
	if len(subject) > 0 && strings.ContainsAny(literal(subject, ""), "{}") {
		return errors.New("only {{name()}} and {{claim(x)}} may stand in braces")
	}
	return callout.CheckSubject(literal(subject, "x"))
}

// checkTag takes what NATS keeps as it is, with placeholders behind a colon alone: a person
// may not choose which tag it is.
func checkTag(tag string) error {
	plain := literal(tag, "x")
	name, _, _ := strings.Cut(tag, ":")
	switch {
	case callout.CheckText(plain) != nil:
		return errors.New("it is not a line of text")
	case strings.TrimSpace(plain) != plain:
		return errors.New("NATS would cut the spaces around it")
	case strings.ToLower(plain) != plain:
		return errors.New("NATS puts tags into lower case: write it so")
	case strings.ContainsAny(literal(tag, ""), "{}"):
		return errors.New("only {{name()}} and {{claim(x)}} may stand in braces")
	case strings.Contains(name, "{{"):
		return errors.New("a placeholder stands behind a colon: team:{{claim(team)}}")
	}
	return nil
}

var (
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hashedName = regexp.MustCompile(`^x[0-9a-f]{32}$`)
)

// InboxPrefix is the private inbox of a name: _INBOX_<name>, or for a name with other
// characters than letters, digits, _ and -, or a longer one, of the first 32 hexadecimal
// digits of its SHA-256 behind an x. A name that looks like one of these is hashed too, so
// that nobody is called like another's inbox.
func InboxPrefix(name string) string {
	if plainName.MatchString(name) && !hashedName.MatchString(name) {
		return "_INBOX_" + name
	}
	hash := sha256.Sum256([]byte(name))
	return "_INBOX_x" + hex.EncodeToString(hash[:16])
}
