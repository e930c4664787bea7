package certs

// Matches reports whether a pattern matches a name of a kind; the pattern may be none.
func Matches(k, pattern, name string) (matched, isPattern bool) {
	var m Match
	switch kind(k) {
	case cn:
		m.CN = pattern
	case dns:
		m.DNS = pattern
	case email:
		m.Email = pattern
	case uri:
		m.URI = pattern
	}
	r, err := newRule(1, Rule{Match: m})
	if err != nil {
		return false, false
	}
	_, matched, _ = r.matches(names{kind(k): {name}}.clear())
	return matched, true
}

// NamesIn are the names in a query, by kind.
func NamesIn(text string) map[string][]string {
	all := make(map[string][]string)
	for k, list := range namesIn(text) {
		all[string(k)] = list
	}
	return all
}
