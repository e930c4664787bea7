package inspect

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
)

// maxExpansions is how many subjects a template may become; servers have the same bound.
const maxExpansions = 4096

var placeholder = regexp.MustCompile(`{{2}([^}]+)}{2}`)

var errTemplate = errors.New("a template of its signing key that servers refuse")

// filler fills the templates of a scoped signing key in for one user, as servers do.
type filler struct {
	user    *jwt.UserClaims
	account *jwt.AccountClaims
}

// permissions are those of a template for the user. The error says that servers let nobody
// in with it.
func (f filler) permissions(template jwt.Permissions) (jwt.Permissions, error) {
	var filled jwt.Permissions
	var errs [4]error
	filled.Sub.Allow, errs[0] = f.list(template.Sub.Allow, false)
	filled.Sub.Deny, errs[1] = f.list(template.Sub.Deny, true)
	filled.Pub.Allow, errs[2] = f.list(template.Pub.Allow, false)
	filled.Pub.Deny, errs[3] = f.list(template.Pub.Deny, true)
	// A list of which nothing is left allows nothing, where an empty one allows everything.
	if len(template.Sub.Allow) > 0 && len(filled.Sub.Allow) == 0 {
		filled.Sub.Deny = append(filled.Sub.Deny, ">")
	}
	if len(template.Pub.Allow) > 0 && len(filled.Pub.Allow) == 0 {
		filled.Pub.Deny = append(filled.Pub.Deny, ">")
	}
	filled.Resp = template.Resp
	return filled, errors.Join(errs[:]...)
}

// list fills in the subjects of a list. One that becomes no subject is left out of an allow,
// and an error in a deny, which must not become less.
func (f filler) list(subjects jwt.StringList, strict bool) (jwt.StringList, error) {
	var filled jwt.StringList
	for _, subject := range subjects {
		variants, err := f.variants(subject)
		if err != nil {
			return nil, err
		}
		for _, variant := range variants {
			switch {
			case variant == subject || isPattern(variant):
				filled = append(filled, variant)
			case strict:
				return nil, errTemplate
			}
		}
		if len(filled) > maxExpansions || (strict && len(variants) == 0) {
			return nil, errTemplate
		}
	}
	return filled, nil
}

// variants are what a subject with placeholders becomes: one for each combination of the
// values of its tags.
func (f filler) variants(subject string) ([]string, error) {
	variants := []string{subject}
	found := placeholder.FindAllString(subject, -1)
	slices.Sort(found)
	for _, found := range slices.Compact(found) { // one that is there twice has one value
		values, err := f.values(strings.TrimSpace(found[2 : len(found)-2]))
		if err != nil {
			return nil, err
		}
		var next []string
		for _, variant := range variants {
			for _, value := range values {
				next = append(next, strings.ReplaceAll(variant, found, value))
			}
		}
		if variants = next; len(variants) > maxExpansions {
			return nil, errTemplate
		}
	}
	return variants, nil
}

func (f filler) values(operation string) ([]string, error) {
	switch lower := strings.ToLower(operation); {
	case lower == "name()":
		return []string{f.user.Name}, nil
	case lower == "subject()":
		return []string{f.user.Subject}, nil
	case lower == "account-name()":
		return []string{f.account.Name}, nil
	case lower == "account-subject()":
		return []string{f.account.Subject}, nil
	case strings.HasPrefix(lower, "tag(") && strings.HasSuffix(lower, ")"):
		return tagged(f.user.Tags, lower[len("tag("):len(lower)-1]), nil
	case strings.HasPrefix(lower, "account-tag(") && strings.HasSuffix(lower, ")"):
		return tagged(f.account.Tags, lower[len("account-tag("):len(lower)-1]), nil
	}
	return nil, errTemplate
}

// tagged are the values of tags of a name.
func tagged(tags jwt.TagList, name string) (values []string) {
	for _, tag := range tags {
		if value, found := strings.CutPrefix(tag, name+":"); found {
			values = append(values, value)
		}
	}
	return values
}

// bySubject reports whether a template needs the key of the user.
func bySubject(p jwt.Permissions) bool {
	return slices.ContainsFunc(slices.Concat(p.Sub.Allow, p.Sub.Deny, p.Pub.Allow, p.Pub.Deny), func(subject string) bool {
		return slices.ContainsFunc(placeholder.FindAllString(subject, -1), func(found string) bool {
			return strings.EqualFold(strings.TrimSpace(found[2:len(found)-2]), "subject()")
		})
	})
}
