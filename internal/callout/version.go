package callout

import (
	"strconv"
	"strings"

	"keyhall.dev/keyhall/internal/fault"
)

// The first releases without the known hole in the auth callout: in older ones a client with
// the sentinel that names an auth user as its own passes without any question.
const (
	safeMajor, safeMinor, safePatch = 2, 15, 1
	safeOldMinor, safeOldPatch      = 14, 8
)

// CheckServerVersion takes the nats-servers without known holes in their auth callout:
// 2.15.1 and later, and 2.14.8 and later of the 2.14 line. A pre-release comes before its
// release, and what is not a version is refused.
func CheckServerVersion(version string) error {
	release, suffix, _ := strings.Cut(version, "-")
	numbers := strings.Split(release, ".")
	var v [3]int
	for i, text := range numbers {
		n, err := strconv.ParseUint(text, 10, 16)
		if len(numbers) != len(v) || err != nil {
			return fault.New(fault.Refused, "%q is not a version of nats-server", cut(version))
		}
		v[i] = int(n)
	}
	if suffix != "" { // the patch that it comes before
		v[2]--
	}
	switch {
	case v[0] > safeMajor, v[0] == safeMajor && v[1] > safeMinor:
		return nil
	case v[0] == safeMajor && v[1] == safeMinor && v[2] >= safePatch:
		return nil
	case v[0] == safeMajor && v[1] == safeOldMinor && v[2] >= safeOldPatch:
		return nil
	default:
		return fault.New(fault.Refused,
			"nats-server %s has a known hole in its auth callout: use 2.15.1 or later, or 2.14.8 of the 2.14 line", version)
	}
}
