package cli

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestAQRCodeIsDrawnModuleByModule reads the drawing back.
func TestAQRCodeIsDrawnModuleByModule(t *testing.T) {
	code, err := qr.Encode("https://hall.example.org/link#kl-aaaa-bbbb-cccc-dddd", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(drawQR(code), "\n"), "\n")
	if len(lines) != (code.Size+2*quiet+1)/2 {
		t.Fatalf("%d lines for %d modules", len(lines), code.Size)
	}
	for row, line := range lines {
		line, found := strings.CutPrefix(line, "\x1b[30;107m")
		line, ended := strings.CutSuffix(line, "\x1b[0m")
		cells := []rune(line)
		if !found || !ended || len(cells) != code.Size+2*quiet {
			t.Fatalf("line %d is %q", row, line)
		}
		for column, cell := range cells {
			x, y := column-quiet, 2*row-quiet
			if above, below := strings.ContainsRune("█▀", cell), strings.ContainsRune("█▄", cell); above != code.Black(x, y) || below != code.Black(x, y+1) {
				t.Fatalf("at %d, %d is %q", x, y, cell)
			}
		}
	}
}
