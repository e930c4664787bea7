//go:build linux

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestARatioAboveOneAlwaysMeansThatOursIsBetter(t *testing.T) {
	for _, row := range []struct {
		what           string
		ours, baseline []float64
		smaller        bool
		floor, ratio   float64
		ok             bool
	}{
		{"faster", []float64{9, 200, 1}, []float64{3, 1, 90}, false, 0.4, 3, true},
		{"slower, within the floor", []float64{1, 2, 3}, []float64{4, 4, 4}, false, 0.5, 0.5, true},
		{"slower, beyond the floor", []float64{1, 2, 3}, []float64{4, 4, 4}, false, 0.6, 0.5, false},
		{"takes less time", []float64{2, 2, 2}, []float64{3, 5, 4}, true, 1, 2, true},
		{"takes more time", []float64{4, 4, 4}, []float64{2, 2, 2}, true, 1, 0.5, false},
		{"not judged", []float64{4, 4, 4}, []float64{2, 2, 2}, true, noLimit, 0.5, true},
	} {
		got := compared(row.what, "s", row.ours, row.baseline, row.smaller, row.floor)
		if *got.Ratio != row.ratio || got.OK != row.ok || (got.Limit == nil) != (row.floor == noLimit) {
			t.Errorf("%s: ratio %v, ok %v, limit %v", row.what, *got.Ratio, got.OK, got.Limit)
		}
	}
}

func TestAMissedLimitIsAnError(t *testing.T) {
	within := bounded("within", "MB", []float64{1, 2, 3}, 3, 3)
	beyond := bounded("beyond", "MB", []float64{1, 2, 4}, 4, 3)
	if err := missed([]Result{within}); err != nil {
		t.Errorf("within its limit: %v", err)
	}
	if err := missed([]Result{within, beyond}); err == nil || !strings.Contains(err.Error(), "beyond") {
		t.Errorf("beyond its limit: %v", err)
	}
}

func TestResultsAreWrittenWithEveryField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.json")
	rows := []Result{
		compared("a", "s", []float64{1}, []float64{2}, true, noLimit),
		bounded("b", "MB", []float64{1}, 1, 2),
	}
	if err := writeJSON(path, rows); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var read []map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, row := range read {
		for _, field := range []string{"name", "unit", "ours", "baseline", "ratio", "limit", "ok", "runs"} {
			if _, found := row[field]; !found {
				t.Errorf("row %v has no %s", row["name"], field)
			}
		}
	}
}

func TestQuantileIsAValueThatWasMeasured(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %v", got)
	}
}

func TestSidesTakeTurns(t *testing.T) {
	var order []string
	side := func(name string) side {
		return func(context.Context) (float64, error) { order = append(order, name); return 1, nil }
	}
	if _, err := turns(t.Context(), 3, side("a"), side("b")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abbaab" {
		t.Errorf("they came as %s", got)
	}
}

func TestEveryRowOfTheBriefIsMeasured(t *testing.T) {
	var names []string
	for _, g := range groups() {
		names = append(names, g.rows...)
	}
	for _, name := range []string{
		"get-1g", "get-1g-memory-owner", "get-1g-memory-reader", "scan-cold", "scan-warm", "cold-start", "hub-idle", "binary-size",
		"event-sign-128b", "event-sign-1k", "event-sign-64k", "event-verify-1k", "event-seal-1k", "event-open-1k",
		"event-batch", "event-merkle", "event-e2e",
		"callout-connect", "callout-cpu", "callout-slow", "callout-storm", "callout-password",
	} {
		if !slices.Contains(names, name) {
			t.Errorf("nothing measures %s", name)
		}
	}
	if _, err := measure(t.Context(), &options{rows: regexp.MustCompile("^nothing$")}); err == nil {
		t.Error("a pattern that matches no row is taken")
	}
}
