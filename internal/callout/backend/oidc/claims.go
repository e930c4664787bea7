package oidc

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	maxName  = 256             // bytes, as of a grant's
	maxShown = 80              // bytes of a claim that an error repeats
	lastTime = 253_402_300_799 // seconds: the end of the year 9999
	margin   = 2 * time.Second // what a grant needs to be issued and used
)

// judge says what is wrong with the claims of a token whose signature holds, and until when
// it counts.
func (b *Backend) judge(claims map[string]any, now time.Time) (ends time.Time, err error) {
	if err := b.judgeParties(claims); err != nil {
		return time.Time{}, err
	}
	for _, name := range []string{"events", "cnf"} {
		if _, there := claims[name]; there {
			return time.Time{}, callout.Wrong("the token has the claim %s and is no bearer's login", name)
		}
	}
	return b.judgeTimes(claims, now)
}

// judgeParties holds who made the token, for whom, and on whose request against the
// configuration.
func (b *Backend) judgeParties(claims map[string]any) error {
	if claims["iss"] != b.config.Issuer {
		return callout.Wrong("the token is of issuer %s", shown(claims["iss"]))
	}
	audiences, is := audiencesOf(claims["aud"])
	if !is {
		return callout.Wrong("the token does not say for whom it is (aud)")
	}
	if !slices.ContainsFunc(audiences, func(audience string) bool { return slices.Contains(b.config.Audience, audience) }) {
		return callout.Wrong("the token is for %s", shown(claims["aud"]))
	}
	clients := b.config.Audience
	if b.config.ClientID != "" {
		clients = []string{b.config.ClientID}
	}
	azp, authorized := claims["azp"]
	if len(audiences) > 1 && !authorized {
		return callout.Wrong("the token is for several, and does not say on whose request (azp)")
	}
	if party, is := azp.(string); authorized && (b.config.ClientID != "" || len(audiences) > 1) && (!is || !slices.Contains(clients, party)) {
		return callout.Wrong("the token was made for client %s (azp)", shown(azp))
	}
	if client, there := claims["client_id"]; there && b.config.ClientID != "" && client != b.config.ClientID {
		return callout.Wrong("the token was made for client %s (client_id)", shown(client))
	}
	return nil
}

// audiencesOf reads aud: a text, or a list of texts.
func audiencesOf(aud any) (audiences []string, is bool) {
	if text, is := aud.(string); is {
		return []string{text}, true
	}
	return texts(aud)
}

// judgeTimes holds exp, iat and nbf against the clock. A token that counts by the skew alone
// ends with it.
func (b *Backend) judgeTimes(claims map[string]any, now time.Time) (ends time.Time, err error) {
	skew, maxLife := time.Duration(b.config.Skew), time.Duration(b.config.MaxLife)
	expires, issued := timeOf(claims["exp"]), timeOf(claims["iat"])
	switch {
	case expires.IsZero():
		return time.Time{}, fault.New(fault.Refused, "the token does not say when it expires (exp)")
	case issued.IsZero():
		return time.Time{}, fault.New(fault.Refused, "the token does not say when it was issued (iat)")
	case issued.After(now.Add(skew)):
		return time.Time{}, fault.New(fault.Refused, "the token was issued in the future, at %s", utc(issued))
	case !expires.After(issued):
		return time.Time{}, fault.New(fault.Refused, "the token expires before it was issued")
	case expires.Sub(issued) > maxLife:
		return time.Time{}, fault.New(fault.Refused, "the token lives for %s, and %s is the most (max_life)", expires.Sub(issued), maxLife)
	}
	if nbf, there := claims["nbf"]; there {
		begins := timeOf(nbf)
		if begins.IsZero() {
			return time.Time{}, fault.New(fault.Refused, "the token does not say clearly from when it is valid (nbf)")
		}
		if begins.After(now.Add(skew)) {
			return time.Time{}, fault.New(fault.Refused, "the token is not valid before %s", utc(begins))
		}
	}
	ends = expires
	if ends.Before(now.Add(margin)) {
		ends = expires.Add(skew)
	}
	if ends.Before(now.Add(margin)) {
		return time.Time{}, fault.New(fault.Expired, "the token expired at %s", utc(expires))
	}
	return ends, nil
}

// timeOf reads seconds since 1970, with or without a fraction; the zero time for anything
// else.
func timeOf(claim any) time.Time {
	var seconds float64
	switch claim := claim.(type) {
	case json.Number:
		parsed, err := claim.Float64()
		if err != nil {
			return time.Time{}
		}
		seconds = parsed
	case float64: // of claims that did not come in a token: see Explain
		seconds = claim
	}
	if !(seconds >= 1 && seconds <= lastTime) {
		return time.Time{}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9))
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// nameOf is who the claims are of.
func (b *Backend) nameOf(claims map[string]any) (string, error) {
	for _, claim := range []string{"sub", b.config.NameClaim} {
		value, is := lookup(claims, claim).(string)
		if !is || value == "" {
			return "", fault.New(fault.Refused, "the token does not say who somebody is (%s)", claim)
		}
		if err := checkLine(value, maxName-len(b.config.NamePrefix)); err != nil {
			return "", fault.New(fault.Refused, "what the token calls somebody (%s) is %s", claim, err)
		}
	}
	if b.config.NameClaim == "email" && claims["email_verified"] != true {
		return "", fault.New(fault.Refused, "the token names somebody by an e-mail address that nobody verified")
	}
	name, _ := lookup(claims, b.config.NameClaim).(string)
	return b.config.NamePrefix + name, nil
}

// checkLine takes what is one line of text, and looks like nothing else.
func checkLine(text string, limit int) error {
	switch {
	case len(text) > limit:
		return fmt.Errorf("longer than %d bytes", limit)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return fmt.Errorf("not a line of plain text")
	case strings.TrimSpace(text) != text:
		return fmt.Errorf("text with space around it")
	default:
		return nil
	}
}

// wordsOf are the claims that {{claim(x)}} may stand for: those that are texts, nested ones
// by their names with dots between. Of two with the same name neither counts, and an e-mail
// address that nobody verified does not.
func wordsOf(claims map[string]any) map[string]string {
	words, twice := make(map[string]string), make(map[string]bool)
	var collect func(prefix string, object map[string]any)
	collect = func(prefix string, object map[string]any) {
		for name, value := range object {
			switch value := value.(type) {
			case string:
				_, there := words[prefix+name]
				twice[prefix+name] = twice[prefix+name] || there
				words[prefix+name] = value
			case map[string]any:
				collect(prefix+name+".", value)
			}
		}
	}
	collect("", claims)
	for name := range twice {
		if twice[name] {
			delete(words, name)
		}
	}
	if claims["email_verified"] != true {
		delete(words, "email")
	}
	return words
}

// lookup is the claim of a path; nil if there is none.
func lookup(claims map[string]any, path string) any {
	var value any = claims
	for _, name := range pathOf(path) {
		object, is := value.(map[string]any)
		if !is {
			return nil
		}
		value = object[name]
	}
	return value
}

// pathOf takes a path apart at its dots. A name with a dot in it has a backslash before the
// dot, or is a URL: those stand for themselves.
func pathOf(path string) []string {
	if strings.Contains(path, "://") {
		return []string{path}
	}
	const dot = "\x00" // no claim of a configuration has one: see Condition.check
	names := strings.Split(strings.ReplaceAll(path, `\.`, dot), ".")
	for i := range names {
		names[i] = strings.ReplaceAll(names[i], dot, ".")
	}
	return names
}

// texts reads a list of texts and nothing else.
func texts(value any) (list []string, is bool) {
	array, is := value.([]any)
	if !is || len(array) == 0 {
		return nil, false
	}
	for _, element := range array {
		text, is := element.(string)
		if !is {
			return nil, false
		}
		list = append(list, text)
	}
	return list, true
}

// shown is a claim as an error may repeat it: quoted, and cut.
func shown(value any) string {
	var text string
	switch value := value.(type) {
	case nil:
		return "(none)"
	case string:
		text = value
	default:
		encoded, err := json.Marshal(value)
		if err != nil {
			return "(unreadable)"
		}
		text = string(encoded)
	}
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	return fmt.Sprintf("%+q", text)
}
