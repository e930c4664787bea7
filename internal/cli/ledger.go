package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// ledger groups what a host does with the facts of a hub, on the hub's own machine.
func (p *program) ledger() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "ledger",
		Short: "The hub's facts, on its machine: verify, rebuild, tail",
		Long: "The ledger holds everything that was ever decided on a hub, as signed events. These\n" +
			"commands are for its host, on the machine on which it runs.",
		Example: "  keyhall ledger verify --data ./data\n  keyhall ledger rebuild people --data ./data",
	})
	var data string
	c.PersistentFlags().StringVar(&data, "data", "", "the hub's data folder (as for keyhall up)")
	_ = c.MarkPersistentFlagDirname("data")
	c.AddCommand(p.ledgerVerify(&data), p.ledgerRebuild(&data), p.ledgerTail(&data))
	return c
}

// onMachine gives a command the hub that runs on this machine.
func onMachine(data *string, do func(*hub.OnMachine, *cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dir := *data
		if dir == "" {
			var err error
			if dir, err = defaultData(); err != nil {
				return err
			}
		}
		machine, err := hub.OpenOnMachine(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer machine.Close()
		return do(machine, cmd, args)
	}
}

func (p *program) ledgerVerify(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [--data DIR]",
		Short: "Verify every event: that none is missing, who signed it, and that they might",
		Example: "  keyhall ledger verify --data ./data\n" +
			"  keyhall ledger verify --json | jq .problems",
		Args: needs(),
		RunE: onMachine(data, func(m *hub.OnMachine, cmd *cobra.Command, _ []string) error {
			report, err := m.Ledger.Verify(cmd.Context(), m.Identity)
			if err != nil {
				return err
			}
			if p.json {
				p.out.object(report)
			} else {
				p.showReport(report)
			}
			if len(report.Problems) > 0 {
				return fault.New(fault.Refused, "the ledger does not hold: %s", count(len(report.Problems), "problem", "problems"))
			}
			return nil
		}),
	}
}

func (p *program) showReport(report *ledger.Report) {
	for _, problem := range report.Problems {
		p.out.line("event %d  %s  %s: %s", problem.Seq, problem.Subject, problem.Type, problem.Reason)
		if problem.After > 0 {
			p.out.line("          and %s of the same chain stand on it", count(problem.After, "later event", "later events"))
		}
	}
	if report.Unjudged > 0 {
		p.out.line("%s on other chains stand on these", count(report.Unjudged, "event", "events"))
	}
	p.out.line("%s hold, of %s and %s", count(report.Events, "event", "events"),
		count(report.People, "person", "people"), count(report.Rooms, "room", "rooms"))
}

func (p *program) ledgerRebuild(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild [PROJECTION] [--data DIR]",
		Short: "Drop a view, or all of them, and fold the ledger into it anew",
		Long: "Views are what the hub looks things up in. Each is folded from the ledger and can be\n" +
			"made again from it at any time. While one is being made, what is in it is not found.",
		Example: "  keyhall ledger rebuild --data ./data\n  keyhall ledger rebuild shares --data ./data",
		Args:    needs("[PROJECTION]"),
		RunE: onMachine(data, func(m *hub.OnMachine, cmd *cobra.Command, args []string) error {
			names, err := m.Projections(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				names = args
			}
			for _, name := range names {
				began := time.Now()
				if err := m.Rebuild(cmd.Context(), name); err != nil {
					return err
				}
				p.done("%s: made anew in %.1f s", name, time.Since(began).Seconds())
			}
			return nil
		}),
	}
}

// ledgerLine is an event as tail shows it.
type ledgerLine struct {
	Seq     uint64          `json:"seq"`
	Time    time.Time       `json:"time"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Place   uint64          `json:"place"`
	Author  string          `json:"author"`
	Body    json.RawMessage `json:"body"`
}

func (p *program) ledgerTail(data *string) *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use:     "tail [--follow] [--data DIR]",
		Short:   "Show the events, oldest first",
		Example: "  keyhall ledger tail --data ./data\n  keyhall ledger tail --follow --json | jq .type",
		Args:    needs(),
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	c.RunE = onMachine(data, func(m *hub.OnMachine, cmd *cobra.Command, _ []string) error {
		last, err := m.Ledger.Last(cmd.Context())
		if err != nil || (last == 0 && !follow) {
			return err
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		return m.Ledger.Follow(ctx, func(entry ledger.Entry) error {
			p.showEntry(entry)
			if entry.Seq >= last && !follow {
				cancel()
			}
			return nil
		})
	})
	return c
}

func (p *program) showEntry(entry ledger.Entry) {
	if entry.Err != nil {
		p.warn("event %d: %v", entry.Seq, entry.Err)
		return
	}
	ev := entry.Event
	kind := trust.Account
	if ev.Subject == "ledger.hub" {
		kind = trust.Operator
	}
	line := ledgerLine{
		Seq: entry.Seq, Time: entry.Time, Type: ev.Type, Subject: ev.Subject, Place: ev.Seq,
		Author: ev.Author.Text(kind), Body: json.RawMessage(`{}`),
	}
	if json.Valid(ev.Body) {
		line.Body = ev.Body
	}
	if p.json {
		p.out.object(line)
		return
	}
	p.out.line("%6d  %s  %-14s %s #%d  %s", line.Seq, moment(line.Time), line.Type, line.Subject, line.Place, line.Body)
}
