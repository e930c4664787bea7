package callout

import (
	"testing"
	"time"
)

func TestAnsweredRequestsAreForgottenAfterTheirTime(t *testing.T) {
	r := newReplays()
	r.most = 3
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		key   string
		at    time.Duration
		first bool
	}{
		{"a", 0, true},
		{"a", 0, false},
		{"a", 2 * time.Second, false}, // its server may wait still
		{"b", 2 * time.Second, true},
		{"a", 4 * time.Second, false}, // nothing came that would have made it forget
		{"c", 4 * time.Second, true},
		{"a", 4 * time.Second, true},
		{"d", 4 * time.Second, true},
		{"e", 4 * time.Second, true}, // one too many
		{"d", 4 * time.Second, false},
	} {
		if got := r.first(step.key, now.Add(step.at+2*time.Second), now.Add(step.at)); got != step.first {
			t.Errorf("%s after %s: first %t", step.key, step.at, got)
		}
		if len(r.order) > r.most || len(r.order) != len(r.until) {
			t.Errorf("%s after %s: %d of %d are remembered", step.key, step.at, len(r.until), len(r.order))
		}
	}
}
