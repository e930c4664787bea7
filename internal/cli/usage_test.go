package cli

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// outcome is what came of a run.
type outcome struct {
	status   int
	out, err string
}

// run runs a command with a profile folder and nothing on standard input.
func run(t *testing.T, home string, args ...string) outcome {
	t.Helper()
	return runWith(t, home, strings.NewReader(""), args...)
}

func runWith(t *testing.T, home string, in io.Reader, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	status := Run(t.Context(), System{
		Args: args, In: in, Out: &out, Err: &errs,
		Env: func(name string) string { return map[string]string{homeVariable: home}[name] },
	})
	return outcome{status, out.String(), errs.String()}
}

func TestWrongUsageExitsWithTwoAndAHint(t *testing.T) {
	for line, want := range map[string]string{
		"bogus":                                  `there is no command "bogus"`,
		"bogus --flag":                           `there is no command "bogus"`,
		"jion":                                   `did you mean join?`,
		"--bogus":                                `unknown flag: --bogus`,
		"whoami more":                            `whoami takes no arguments, and there is "more"`,
		"share films":                            `share needs NAME and HANDLE`,
		"share films bob carol":                  `does not know what to do with "carol"`,
		"share films bob --expires x":            `write it as 90m, 24h, 30d or 2w`,
		"room":                                   `room needs one of`,
		"room bogus":                             `room has no command "bogus"`,
		"room creat":                             `did you mean create?`,
		"catalog describe films text":            `does not name a file in a catalog`,
		"join http://localhost:1":                `join needs an invite`,
		"join x --invite kh-1":                   `join needs a --handle`,
		"invite --data x":                        `--data goes with --admin`,
		"up --attach nats://x":                   `--attach and --creds go together`,
		"verify bob":                             `there is nobody to ask here`,
		"verify bob --show --words x":            `--show asks and compares nothing`,
		"history general --limit 0":              `--limit is a number from 1 to 500`,
		"room grant g b --role king":             `"king" is no role`,
		"up --log-level loud":                    `"loud" is no log level`,
		"up --audit-bytes 5":                     `--audit-bytes is a number of bytes`,
		"up --tls-key k":                         `--tls-cert and --tls-key go together`,
		"up --acme a.b --tls-cert c --tls-key k": `give one of them`,
		"up --acme-email a":                      `go with --acme`,
		"up --redirect :80":                      `goes with --tls-cert or --acme`,
		"up --demo --data x":                     `leave out --data`,
		"up --demo --acme a.b":                   `leave out --acme`,
		"play":                                   `play needs OWNER/NAME/PATH`,
		"web a b":                                `does not know what to do with "b"`,
		"audit --nats nats://x":                  `--nats needs --creds`,
		"audit --data x --creds y":               `give one of them`,
		"audit --outcome good":                   `"good" is none; there are allowed`,
		"audit --signer U":                       `--signer goes with --creds`,
		"audit --since soon":                     `write it as 90m, 24h, 30d or 2w`,
		"audit --creds x --signer U1":            `takes a public key`,
		"callout revoke":                         `callout revoke needs NAME or --session`,
		"callout revoke a --session b/1":         `NAME or --session, not both`,
		"callout revoke --session b":             `names no connection`,
		"callout revoke a --for 31d":             `--for is 30d at most`,
		"callout revoke --session b/1 --for 1h":  `--for goes with NAME`,
		"callout sessions more":                  `takes no arguments`,
	} {
		got := run(t, t.TempDir(), strings.Fields(line)...)
		if got.status != exitUsage || got.out != "" {
			t.Errorf("%s: status %d, output %q", line, got.status, got.out)
		}
		lines := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "keyhall: ") || !strings.Contains(lines[0], want) ||
			!strings.HasPrefix(lines[1], "usage: keyhall") {
			t.Errorf("%s: said %q, want %q", line, got.err, want)
		}
	}
}

func TestFailuresExitWithOneAndOneLine(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nobody")
	for _, line := range []string{
		"up --demo --http 0.0.0.0:0", "up --acme localhost --data " + nowhere + " --nats 127.0.0.1:-1", "web", "web ftp://x", "web localhost:1 --http 0.0.0.0:1",
		"whoami", "people", "catalog list", "say room hello", "get alice/films", "play alice/films/x", "doctor", "invite --admin --data " + nowhere,
		"audit --data " + nowhere, "callout sessions --data " + nowhere, "callout revoke alice --data " + nowhere, "audit --creds " + nowhere,
		"join ftp://x --invite kh-1 --handle x", "join http://localhost:1 --invite kh-1 --handle x",
	} {
		got := run(t, nowhere, strings.Fields(line)...)
		if got.status != exitFailed || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "keyhall: ") {
			t.Errorf("%s: status %d, said %q", line, got.status, got.err)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" || c.Args == nil || c.RunE == nil {
			t.Errorf("%s lacks a short text, an example, or a check of its arguments", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !regexp.MustCompile(`^  .*(keyhall|nats) `).MatchString(line) {
				t.Errorf("%s: the example %q does not show a command", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(new(program).root())
}

func TestDevicesAreNamedAfterTheMachine(t *testing.T) {
	for host, want := range map[string]string{
		"laptop": "laptop", "Laptop.local": "laptop", "my_pc": "my_pc", "": "device", "...": "device",
		"a b*c>d": "a-b-c-d", "-odd-": "odd", "ноутбук": "ноутбук", "mixedноут": "mixed",
		strings.Repeat("x", 40): strings.Repeat("x", 32),
	} {
		if got := deviceName(host); got != want {
			t.Errorf("%q became %q, want %q", host, got, want)
		}
	}
}

func TestLinksComeApart(t *testing.T) {
	for text, want := range map[string][2]string{
		"http://localhost:8420":            {"http://localhost:8420", ""},
		"http://localhost:8420/":           {"http://localhost:8420", ""},
		"localhost:8420":                   {"http://localhost:8420", ""},
		"https://hall.example/join#kh-abc": {"https://hall.example", "kh-abc"},
		"hall.example/join#kh-abc":         {"http://hall.example", "kh-abc"},
		"":                                 {"", ""},
	} {
		if address, code := splitLink(text); address != want[0] || code != want[1] {
			t.Errorf("%q came apart as %q and %q", text, address, code)
		}
	}
}

func TestLivesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]string{"24h": "24h", "48h": "2d", "30d": "30d", "2w": "14d", "90m": "1h30m0s"} {
		var l life
		if err := l.Set(text); err != nil || l.String() != want {
			t.Errorf("%q is %q (%v), want %q", text, l.String(), err, want)
		}
	}
	for _, text := range []string{"", "0", "0h", "-1h", "1y", "d", "-3d", "soon", "99999999999d"} {
		var l life
		if err := l.Set(text); err == nil {
			t.Errorf("%q was taken for %s", text, l.String())
		}
	}
}

func TestSizesAreReadable(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 5_000_000_000: "5.0 GB", 1 << 62: "4.6 EB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
	}
}
