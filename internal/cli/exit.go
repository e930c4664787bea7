package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"keyhall.dev/keyhall/internal/fault"
)

// The exit statuses, as scripts rely on them.
const (
	exitOK     = 0
	exitFailed = 1 // with one line that says why
	exitUsage  = 2 // the command itself was wrong
	exitPartly = 3 // done in part
)

// partly is the error of work that was done in part; what is missing was said already, or
// is said by the cause.
type partly struct{ error }

func (e partly) Unwrap() error { return e.error }

// interrupted is the error of work that its user called off, with what to say about it.
type interrupted struct {
	error
	hint string
}

func (e interrupted) Unwrap() error { return e.error }

// finish says what went wrong, in one line, and gives the exit status for it.
func (p *program) finish(ctx context.Context, err error) int {
	var wrong *usageError
	var incomplete partly
	var calledOff interrupted
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		p.err.line("keyhall: %s", wrong.message)
		p.err.line("usage: %s", wrong.usage)
		return exitUsage
	case errors.As(err, &incomplete):
		p.err.line("keyhall: %s", sentence(err))
		return exitPartly
	case ctx.Err() != nil && errors.As(err, &calledOff):
		p.err.line("keyhall: interrupted; %s", calledOff.hint)
	case ctx.Err() != nil:
		p.err.line("keyhall: interrupted")
	default:
		p.err.line("keyhall: %s", sentence(err))
	}
	return exitFailed
}

// sentence is what a person reads of an error: the sentence of the nearest fault. What has
// none is brought into words as well as can be, without Go's chain of causes where that
// says nothing more.
func sentence(err error) string {
	var f *fault.Error
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &f) && f.Message != "":
		return f.Message
	case errors.As(err, &f):
		return "the hub refused this (" + string(f.Code) + ") and did not say why"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "this took too long; try again"
	case errors.As(err, &path):
		return path.Path + ": " + path.Err.Error()
	case errors.As(err, &link):
		return link.New + ": " + link.Err.Error()
	}
	return err.Error()
}
