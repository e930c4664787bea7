package cli

import (
	"strings"

	"rsc.io/qr"
)

const quiet = 4 // modules of white around a QR code, as its standard wants

// showQR draws a QR code where somebody looks at it. What cannot be drawn is left out: the
// text is there as well.
func (p *program) showQR(text string) {
	if p.json || !isTerminal(p.sys.Out) {
		return
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil || code.Size+2*quiet > columns(p.sys.Out) {
		return
	}
	p.out.write(drawQR(code) + "\n")
}

// drawQR draws two rows of modules on each line, in black and white whatever the terminal's
// colours are.
func drawQR(code *qr.Code) string {
	var out strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		out.WriteString("\x1b[30;107m") // black on white
		for x := -quiet; x < code.Size+quiet; x++ {
			switch above, below := code.Black(x, y), code.Black(x, y+1); {
			case above && below:
				out.WriteString("█")
			case above:
				out.WriteString("▀")
			case below:
				out.WriteString("▄")
			default:
				out.WriteString(" ")
			}
		}
		out.WriteString("\x1b[0m\n")
	}
	return out.String()
}
