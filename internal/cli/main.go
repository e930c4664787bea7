package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// System is what one run of the command line has of the machine.
type System struct {
	Args     []string // without the program's name
	In       io.Reader
	Out, Err io.Writer
	Env      func(name string) string
}

// Main runs the program with what the process has and returns its exit status. Ctrl-C and
// SIGTERM ask it to come to an end; the second one ends it at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, System{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv})
}

// Run runs one command and returns its exit status. It ends when ctx does.
func Run(ctx context.Context, sys System) int {
	p := &program{sys: sys, out: printer{w: sys.Out}, err: printer{w: sys.Err}}
	root := p.root()
	root.SetArgs(sys.Args)
	root.SetIn(sys.In)
	root.SetOut(sys.Out)
	root.SetErr(sys.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = p.out.failed
	}
	return p.finish(ctx, err)
}
