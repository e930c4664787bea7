// Command report reads what go test -json prints, shows it in short, and holds it against
// the claims: test/claims.txt names, for each item of a piece of work, the tests that would
// fail without it.
//
//	go test -json ./... | go run ./test/report [-claims FILE] [-strict] -
//
// A line of the claims is an item (2.4-invites: of the fourth item of piece 2) and its
// tests; "piece 2 9" says that piece 2 has nine items, each of which needs a line.
//
// It fails when a test failed, when an item has no test, or one that is missing or was
// skipped; with -strict on any skipped test. Its last line is "N passed, N failed, N skipped".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

const module = "keyhall.dev/keyhall/"

func main() {
	claims := flag.String("claims", "", "file of claims to hold the results against")
	strict := flag.Bool("strict", false, "fail on skipped tests")
	only := flag.Bool("only-claims", false, "say nothing of tests that passed")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: report [-claims FILE] [-strict] RESULTS")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *claims, *strict, *only); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(results, claims string, strict, only bool) error {
	file := os.Stdin
	if results != "-" {
		var err error
		if file, err = os.Open(results); err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // only read
	}
	r := newResults(only)
	if err := r.read(file); err != nil {
		return err
	}
	if !only {
		r.show(os.Stdout)
	}
	var problems []error
	if r.passed == 0 {
		problems = append(problems, errors.New("no test passed"))
	}
	if r.failed > 0 || r.broken > 0 {
		problems = append(problems, errors.New("tests failed"))
	}
	if strict && r.skipped > 0 {
		problems = append(problems, fmt.Errorf("%d tests were skipped: %s", r.skipped, strings.Join(r.named("skip"), ", ")))
	}
	if claims != "" {
		problems = append(problems, r.hold(claims))
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, max(r.failed, r.broken), r.skipped)
	return errors.Join(problems...)
}

// line is one line of go test -json.
type line struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// results are the outcomes of tests by "package.Test".
type results struct {
	outcome                         map[string]string // pass, fail or skip
	output                          map[string]*strings.Builder
	quiet                           bool
	passed, failed, skipped, broken int
}

func newResults(quiet bool) *results {
	return &results{outcome: make(map[string]string), output: make(map[string]*strings.Builder), quiet: quiet}
}

func (r *results) read(from io.Reader) error {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(make([]byte, 1<<20), 64<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			fmt.Println(scanner.Text()) // the go command's own words
			continue
		}
		r.take(l)
	}
	return scanner.Err()
}

func (r *results) take(l line) {
	if l.Package == "" {
		l.Package = l.ImportPath
	}
	name := strings.TrimPrefix(l.Package, module) + "." + l.Test
	switch l.Action {
	case "output", "build-output":
		if r.output[name] == nil {
			r.output[name] = new(strings.Builder)
		}
		r.output[name].WriteString(l.Output)
	case "build-fail":
		r.broken++
		fmt.Print(r.output[name])
	case "pass", "fail", "skip":
		if l.Test == "" {
			r.ended(l)
			return
		}
		if l.Action == "skip" && strings.HasPrefix(l.Test, "Fuzz") && strings.Contains(l.Test, "/") {
			return // a seed that is no input for its target
		}
		r.outcome[name] = l.Action
		r.count(l.Action)
	}
}

func (r *results) count(action string) {
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
	case "skip":
		r.skipped++
	}
}

func (r *results) named(outcome string) []string {
	var names []string
	for name, got := range r.outcome {
		if got == outcome {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ended shows the outcome of a package as soon as it is known.
func (r *results) ended(l line) {
	name := strings.TrimPrefix(l.Package, module)
	if !r.quiet && l.Action != "skip" { // skip: no test files
		fmt.Printf("%-5s %-40s %6.1f s\n", l.Action, name, l.Elapsed)
	}
	if l.Action == "fail" {
		r.broken++
		fmt.Print(r.output[name+"."])
	}
}

// show shows what did not pass.
func (r *results) show(to io.Writer) {
	for _, name := range r.named("fail") {
		fmt.Fprintf(to, "\n--- FAILED %s\n%s", name, r.output[name])
	}
	for _, name := range r.named("skip") {
		fmt.Fprintf(to, "\n--- SKIPPED %s\n%s", name, r.output[name])
	}
}

// hold holds the results against the claims.
func (r *results) hold(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	claimed, missing := make(map[string]bool), make(map[string]bool)
	var problems []error
	items := 0
	for number, text := range strings.Split(string(text), "\n") {
		text, _, _ = strings.Cut(text, "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if fields[0] == "piece" {
			err = expect(missing, fields[1:])
		} else {
			items++
			item, _, _ := strings.Cut(fields[0], "-")
			claimed[item] = true
			err = r.holdItem(fields[0], fields[1:])
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, number+1, err))
		}
	}
	for _, item := range slices.Sorted(maps.Keys(missing)) {
		if !claimed[item] {
			problems = append(problems, fmt.Errorf("%s: item %s is not there", path, item))
		}
	}
	if items == 0 {
		problems = append(problems, fmt.Errorf("%s holds no claims", path))
	}
	if len(problems) == 0 {
		fmt.Printf("%d claims hold\n", items)
	}
	return errors.Join(problems...)
}

// expect adds the items of a piece of work, of which its line gives the number and how many
// there are.
func expect(items map[string]bool, piece []string) error {
	if len(piece) != 2 {
		return errors.New("a piece has a number and a count of items")
	}
	count, err := strconv.Atoi(piece[1])
	if err != nil || count < 1 {
		return fmt.Errorf("%q is no count of items", piece[1])
	}
	for i := range count {
		items[fmt.Sprintf("%s.%d", piece[0], i+1)] = true
	}
	return nil
}

func (r *results) holdItem(item string, tests []string) error {
	if len(tests) == 0 {
		return fmt.Errorf("item %s has no test", item)
	}
	var problems []error
	for _, test := range tests {
		if got := r.outcome[test]; got != "pass" {
			problems = append(problems, fmt.Errorf("item %s: test %s %s", item, test, said(got)))
		}
	}
	return errors.Join(problems...)
}

func said(outcome string) string {
	switch outcome {
	case "":
		return "did not run"
	case "skip":
		return "was skipped"
	}
	return "failed"
}
