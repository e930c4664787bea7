//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Result is one row. A row that is a comparison has a baseline and a ratio, above 1 where
// ours is better, and its limit is the least ratio; of any other row the limit is the most
// that ours may be. A row without a limit is told and not judged.
type Result struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Ours     float64  `json:"ours"`
	Baseline *float64 `json:"baseline"`
	Ratio    *float64 `json:"ratio"`
	Limit    *float64 `json:"limit"`
	OK       bool     `json:"ok"`
	Runs     int      `json:"runs"` // of each side

	spread string // least and most of ours, and of the baseline
}

// noLimit is the limit of a row that is not judged.
const noLimit = 0

// compared is a row that sets medians beside each other. smaller says that less is better.
func compared(name, unit string, ours, baseline []float64, smaller bool, floor float64) Result {
	mine, other := median(ours), median(baseline)
	ratio := mine / other
	if smaller {
		ratio = other / mine
	}
	r := Result{
		Name: name, Unit: unit, Ours: mine, Baseline: &other, Ratio: &ratio, Runs: len(ours), OK: ratio >= floor,
		spread: spread(ours) + " / " + spread(baseline),
	}
	if floor != noLimit {
		r.Limit = &floor
	}
	return r
}

// bounded is a row of ours alone, of which more than limit is too much.
func bounded(name, unit string, ours []float64, value, limit float64) Result {
	r := Result{Name: name, Unit: unit, Ours: value, Runs: len(ours), OK: true, spread: spread(ours)}
	if limit != noLimit {
		r.Limit, r.OK = &limit, value <= limit
	}
	return r
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile is the smallest value that at least the share q of values does not exceed.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func spread(values []float64) string {
	return number(slices.Min(values)) + "–" + number(slices.Max(values))
}

func number(value float64) string {
	switch {
	case value >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 3, 64)
}

// limitText says in which direction the limit is.
func (r Result) limitText() string {
	switch {
	case r.Limit == nil:
		return "-"
	case r.Ratio != nil:
		return "ratio ≥ " + number(*r.Limit)
	}
	return "≤ " + number(*r.Limit)
}

func (r Result) verdict() string {
	switch {
	case r.Limit == nil:
		return "-"
	case r.OK:
		return "ok"
	}
	return "MISSED"
}

func printTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROW\tUNIT\tOURS\tBASELINE\tRATIO\tLIMIT\t\tRUNS\tLEAST–MOST")
	for _, r := range results {
		baseline, ratio := "-", "-"
		if r.Ratio != nil {
			baseline, ratio = number(*r.Baseline), strconv.FormatFloat(*r.Ratio, 'f', 2, 64)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			r.Name, r.Unit, number(r.Ours), baseline, ratio, r.limitText(), r.verdict(), r.Runs, r.spread)
	}
	return t.Flush()
}

func writeJSON(path string, results []Result) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// missed is the error of rows that are beyond their limits.
func missed(results []Result) error {
	var names []string
	for _, r := range results {
		if !r.OK {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("beyond its limit: %s", strings.Join(names, ", "))
}
