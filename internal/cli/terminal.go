package cli

import (
	"os"

	"golang.org/x/term"
)

// onTerminal reports whether somebody reads what the program prints on standard error.
func (p *program) onTerminal() bool { return isTerminal(p.sys.Err) }

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) //nolint:gosec // a file descriptor fits
}

// terminal is standard input where somebody types at it.
func (p *program) terminal() (*os.File, bool) {
	file, ok := p.sys.In.(*os.File)
	return file, ok && isTerminal(file)
}

// columns is the width of the terminal behind a stream; 0 if it is none.
func columns(stream any) int {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd())) //nolint:gosec // a file descriptor fits
	if err != nil {
		return 0
	}
	return width
}
