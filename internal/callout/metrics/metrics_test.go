package metrics_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/metrics"
	"keyhall.dev/keyhall/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape reads what Prometheus would read.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	s, err := metrics.Serve(m, ":0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("without a host it listens on %s", s.URL())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", answer.Status, err)
	}
	return string(text)
}

func TestPrometheusReadsWhatWasDecided(t *testing.T) {
	m := metrics.New()
	for range 3 {
		m.Decided(callout.Decision{Allowed: true, Outcome: callout.Allowed, Backend: "users", Duration: 3 * time.Millisecond})
	}
	m.Decided(callout.Decision{Outcome: callout.Disproved, Backend: "oidc", Duration: time.Second, Waited: time.Second})
	m.Decided(callout.Decision{Outcome: callout.Malformed})
	m.Closed(audit.Closed{By: audit.ByHost, Closed: make([]audit.Connection, 2), More: 1, Failed: 4})
	m.InFlight(func() int { return 5 })
	m.Sessions(func() int { return 6 })
	m.AuditLost(func() int64 { return 7 })
	text := scrape(t, m)
	for _, line := range []string{
		`keyhall_callout_decisions_total{backend="users",outcome="allowed"} 3`,
		`keyhall_callout_decisions_total{backend="oidc",outcome="wrong"} 1`,
		`keyhall_callout_decisions_total{backend="none",outcome="malformed"} 1`,
		`keyhall_callout_decision_seconds_count{backend="users",outcome="allowed"} 3`,
		`keyhall_callout_decision_seconds_bucket{backend="users",outcome="allowed",le="0.00390625"} 3`,
		`keyhall_callout_decision_seconds_bucket{backend="users",outcome="allowed",le="0.0015625"} 0`,
		`keyhall_callout_waited_seconds_count 5`,
		`keyhall_callout_closed_total{by="host"} 3`,
		`keyhall_callout_close_failures_total 4`,
		`keyhall_callout_in_flight 5`,
		`keyhall_callout_sessions 6`,
		`keyhall_callout_audit_lost_total 7`,
		`go_goroutines`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("lacks %s", line)
		}
	}
}

// Whatever comes, the labels stay few, and hold nothing of a client's.
func TestLabelsAreBounded(t *testing.T) {
	m := metrics.New()
	for i := range 1000 {
		m.Decided(callout.Decision{
			Backend: fmt.Sprint("backend", i), Outcome: callout.Outcome(fmt.Sprint("outcome", i)), User: "alice-in-wonderland", Name: "alice-in-wonderland",
		})
		m.Closed(audit.Closed{By: fmt.Sprint("by", i), Name: "alice-in-wonderland", Closed: make([]audit.Connection, 1)})
	}
	text := scrape(t, m)
	if series := strings.Count(text, "keyhall_callout_decisions_total{"); series != 17 {
		t.Errorf("%d series", series)
	}
	if series := strings.Count(text, "keyhall_callout_closed_total{"); series != 1 {
		t.Errorf("%d series of closed ones", series)
	}
	if strings.Contains(text, "wonderland") {
		t.Error("a name stands in the metrics")
	}
}

func TestAnAddressThatIsNoneIsNamed(t *testing.T) {
	for address, code := range map[string]fault.Code{"nowhere": fault.Malformed, "192.0.2.1:1": fault.Unavailable} {
		if _, err := metrics.Serve(metrics.New(), address, slog.New(slog.DiscardHandler)); !fault.Is(err, code) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnAddressInUseIsSaidOnceWithWhatToDo(t *testing.T) {
	taken, err := metrics.Serve(metrics.New(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := strings.TrimSuffix(strings.TrimPrefix(taken.URL(), "http://"), metrics.Path)
	second, err := metrics.Serve(metrics.New(), address, slog.New(slog.DiscardHandler))
	if err == nil {
		second.Close()
		t.Fatal("two serve on one address")
	}
	if said := err.Error(); strings.Count(said, address) != 1 || !strings.Contains(said, "choose another with --metrics") {
		t.Errorf("said %q", said)
	}
}
