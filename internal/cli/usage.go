package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a command that was called wrongly.
type usageError struct {
	message string
	usage   string // how it is called rightly
}

func (e *usageError) Error() string { return e.message }

// wrong is the error of a call of c that is wrong for the given reason.
func wrong(c *cobra.Command, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), usage: c.UseLine()}
}

// needs checks the arguments of a command. Names are those of its usage line: "[NAME]" may
// be left out, and the last one with "..." may come many times.
func needs(names ...string) cobra.PositionalArgs {
	least, most := 0, len(names)
	var missing []string
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
			missing = append(missing, strings.TrimSuffix(name, "..."))
		}
		if strings.Contains(name, "...") {
			most = 1 << 20
		}
	}
	return func(c *cobra.Command, args []string) error {
		command := strings.TrimPrefix(c.CommandPath(), "keyhall ")
		switch {
		case len(args) < least:
			return wrong(c, "%s needs %s", command, list(missing, "and"))
		case len(args) > most && most == 0:
			return wrong(c, "%s takes no arguments, and there is %q", command, args[0])
		case len(args) > most:
			return wrong(c, "%s does not know what to do with %q", command, args[most])
		}
		return nil
	}
}

// list joins words as people do: "a, b and c".
func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	end := len(words) - 1
	return strings.Join(words[:end], ", ") + " " + last + " " + words[end]
}

// group makes a command that only holds others: without one of them it shows what there
// is, and a name it does not know is wrong usage.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(c, args[0])
		case c.HasParent():
			return wrong(c, "%s needs one of: %s", c.Name(), strings.Join(namesOf(c), ", "))
		}
		return c.Help()
	}
	return c
}

// unknownCommand says what was not understood and what may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	message := fmt.Sprintf("there is no command %q", name)
	if c.HasParent() {
		message = fmt.Sprintf("%s has no command %q", c.Name(), name)
	}
	if near := c.SuggestionsFor(name); len(near) > 0 {
		message += "; did you mean " + list(near, "or") + "?"
	} else if c.HasParent() {
		message += "; there are " + list(namesOf(c), "and")
	}
	return &usageError{message: message, usage: c.CommandPath() + " --help"}
}

func namesOf(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// wrongFlag turns what the flag parser says into a usage error. A command that is not
// known has flags that are not known either: then the command is what is wrong.
func wrongFlag(c *cobra.Command, err error) error {
	if before, _, found := strings.Cut(err.Error(), ": strconv."); found {
		err = errors.New(before + ": it is a number")
	}
	if args := c.Flags().Args(); c.HasSubCommands() && len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	if c.HasSubCommands() {
		return &usageError{message: err.Error(), usage: c.CommandPath() + " --help"}
	}
	return wrong(c, "%v", err)
}
