//go:build linux

// Command bench measures Keyhall beside the same work done without it, in one run: ours and
// the baseline take turns, and what counts is the median of each. docs/benchmarks.md says
// what every row measures.
//
//	make bench                    # every row
//	make bench BENCH='get|scan'   # the rows whose names match
//	make bench-check              # the same, and fails where a limit is missed
//
// It runs the real binary in processes of their own, and reads memory where Linux shows it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// group is rows that are measured together, since they need the same things.
type group struct {
	rows []string
	run  func(ctx context.Context, s *stage) ([]Result, error)
}

func groups() []group {
	return []group{
		{[]string{"binary-size", "binary-size-full"}, binarySize},
		{[]string{"cold-start", "cold-start-again", "hub-idle"}, coldStart},
		{[]string{"scan-cold", "scan-cold-parallel", "scan-warm", "scan-warm-program"}, scan},
		{[]string{"say-p50", "say-p99"}, say},
		{eventRows(), eventCrypto},
		{[]string{"event-batch", "event-merkle"}, eventBatch},
		{[]string{"event-e2e", "event-e2e-batch"}, eventStream},
		{[]string{"callout-connect", "callout-connect-p50", "callout-connect-p99", "callout-connect-sentinel", "callout-slow"}, calloutConnect},
		{[]string{"callout-cpu"}, calloutCPU},
		{[]string{"callout-password"}, calloutPasswords},
		{[]string{"callout-storm", "callout-storm-refused"}, calloutStorm},
		{[]string{"callout-revoke", "callout-revoke-cluster"}, calloutRevoke},
		{webRows(), web},
		{[]string{"get-small"}, getSmall},
		{[]string{"get-1g", "get-1g-memory-owner", "get-1g-memory-reader"}, getLarge},
	}
}

// options are what the command line says.
type options struct {
	rows    *regexp.Regexp
	out     string
	binary  string
	check   bool
	runs    int
	timeout time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	roles := map[string]func(context.Context, []string) error{
		plainCommand: plainMain, serverCommand: serverMain,
		companyServerCommand: companyServer, calloutServiceCommand: calloutService, crowdCommand: crowdMain,
		clusterCommand: clusterMain,
	}
	role, args := run, os.Args[1:]
	if len(args) > 0 && roles[args[0]] != nil {
		role, args = roles[args[0]], args[1:]
	}
	err := role(ctx, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // everything that was started has been stopped
	}
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := flags.String("rows", "", "a regular expression: the rows to run, all if empty")
	flags.StringVar(&o.out, "out", "bench/out.json", "where the results go")
	flags.StringVar(&o.binary, "binary", "", "measure this keyhall instead of one built now")
	flags.BoolVar(&o.check, "check", false, "fail where a limit is missed")
	flags.IntVar(&o.runs, "runs", leastRuns, "how often each side runs")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "for everything")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.runs < leastRuns {
		return nil, fmt.Errorf("a median of %d runs says little; -runs is at least %d", o.runs, leastRuns)
	}
	var err error
	o.rows, err = regexp.Compile(*rows)
	return o, err
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	results, err := measure(ctx, o)
	if len(results) > 0 {
		err = errors.Join(err, printTable(os.Stdout, results), writeJSON(o.out, results))
	}
	if err == nil && o.check {
		err = missed(results)
	}
	return err
}

// measure runs every group of which a row is wanted, and keeps the rows that are.
func measure(ctx context.Context, o *options) (results []Result, err error) {
	wanted := slices.DeleteFunc(groups(), func(g group) bool { return !slices.ContainsFunc(g.rows, o.rows.MatchString) })
	if len(wanted) == 0 {
		return nil, fmt.Errorf("no row matches %q", o.rows)
	}
	s, err := newStage(ctx, o, os.Stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, g := range wanted {
		got, err := g.run(ctx, s)
		if err != nil {
			return results, fmt.Errorf("%s: %w", g.rows[0], err)
		}
		for _, result := range got {
			if o.rows.MatchString(result.Name) {
				results = append(results, result)
			}
		}
	}
	return results, nil
}

// note tells how far the run is, beside the table.
func note(w io.Writer, format string, values ...any) {
	fmt.Fprintf(w, "bench: "+format+"\n", values...)
}
