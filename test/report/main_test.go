package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// printed is what go test -json prints of tests that ended so, by name.
func printed(t *testing.T, outcomes map[string]string) string {
	t.Helper()
	var text strings.Builder
	for name, outcome := range outcomes {
		where, test, _ := strings.Cut(name, ".")
		data, err := json.Marshal(line{Action: outcome, Package: module + where, Test: test})
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(data, '\n'))
	}
	return text.String()
}

// judged is what run says of results and claims.
func judged(t *testing.T, outcomes map[string]string, claims string, strict bool) string {
	t.Helper()
	dir := t.TempDir()
	results, claimed := filepath.Join(dir, "results"), filepath.Join(dir, "claims")
	for path, text := range map[string]string{results: printed(t, outcomes), claimed: claims} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if claims == "" {
		claimed = ""
	}
	if err := run(results, claimed, strict, true); err != nil {
		return err.Error()
	}
	return ""
}

func TestOnlyClaimsWithPassedTestsHold(t *testing.T) {
	outcomes := map[string]string{
		"trust.TestA": "pass", "seal.TestB/part": "pass", "event.TestSkipped": "skip",
	}
	for name, row := range map[string]struct{ claims, want string }{
		"all pass":           {"# words\npiece 1 2\n1.1-a trust.TestA # why\n1.2 trust.TestA seal.TestB/part\n", ""},
		"no test":            {"1.1 trust.TestA\n1.2-more\n", "item 1.2-more has no test"},
		"a missing test":     {"1.1 trust.TestA trust.TestGone\n", "test trust.TestGone did not run"},
		"a skipped test":     {"1.1 event.TestSkipped\n", "test event.TestSkipped was skipped"},
		"an item left out":   {"piece 1 3\n1.1 trust.TestA\n1.3-x trust.TestA\n", "item 1.2 is not there"},
		"nothing is claimed": {"# nothing\n", "holds no claims"},
		"a piece of nothing": {"piece 1 none\n1.1 trust.TestA\n", "no count of items"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged(t, outcomes, row.claims, false)
			if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestAFailedTestFailsItsClaimAndTheRun(t *testing.T) {
	got := judged(t, map[string]string{"trust.TestA": "fail", "trust.TestB": "pass"}, "1.1 trust.TestA\n", false)
	for _, want := range []string{"tests failed", "test trust.TestA failed"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if got := judged(t, nil, "", false); !strings.Contains(got, "no test passed") {
		t.Errorf("nothing ran: %q", got)
	}
}

func TestAStrictRunSkipsNothing(t *testing.T) {
	outcomes := map[string]string{"trust.TestA": "pass", "trust.TestB": "skip"}
	if got := judged(t, outcomes, "", false); got != "" {
		t.Errorf("not strict: %q", got)
	}
	if got := judged(t, outcomes, "", true); !strings.Contains(got, "1 tests were skipped: trust.TestB") {
		t.Errorf("strict: %q", got)
	}
}
