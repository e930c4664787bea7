package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/rivo/uniseg"
)

// printer writes a stream of lines. A line is cleaned as a whole: whatever stands in its
// values, it stays one line and controls no terminal.
type printer struct {
	w io.Writer

	mu     sync.Mutex
	failed error // the first write that failed: a disk that is full, a pipe that is closed
}

// line writes a line for people.
func (p *printer) line(format string, values ...any) {
	p.write(clean(fmt.Sprintf(format, values...)) + "\n")
}

// prompt writes a question, whose answer is typed behind it.
func (p *printer) prompt(format string, values ...any) {
	p.write(clean(fmt.Sprintf(format, values...)) + " ")
}

func (p *printer) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return
	}
	if _, err := io.WriteString(p.w, text); err != nil {
		p.failed = fmt.Errorf("the output cannot be written: %w", err)
	}
}

// object writes a JSON object on a line of its own.
func (p *printer) object(value any) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failed = fmt.Errorf("encode output: %w", err)
		return
	}
	p.write(string(cleanJSON(bytes.TrimSuffix(line.Bytes(), []byte("\n")))) + "\n")
}

// table is rows in aligned columns.
type table struct {
	rows  [][]string
	right map[int]bool // columns of numbers
}

// row adds a row; the first one is the heading.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// drop takes the columns from number on away, where they would be empty.
func (t *table) drop(number int) {
	for i := range t.rows {
		t.rows[i] = t.rows[i][:number]
	}
}

// print writes the table, or nothing where it has a heading alone.
func (t *table) print(p *printer) {
	if len(t.rows) < 2 {
		return
	}
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell))
			if t.right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			line.WriteString(cell + "  ")
		}
		p.line("%s", strings.TrimRight(line.String(), " "))
	}
}
