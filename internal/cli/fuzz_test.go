package cli

import (
	"testing"
	"time"
)

func FuzzLife(f *testing.F) {
	for _, text := range []string{"90m", "24h", "30d", "2w", "0d", "-1d", "1.5d", "99999w", "100000d", "9223372036854775807h", "d", "", "1d1d", "∞"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l life
		err := l.Set(text)
		if err == nil && time.Duration(l) <= 0 || err != nil && l != 0 {
			t.Fatalf("%q lasts %s, %v", text, time.Duration(l), err)
		}
	})
}
