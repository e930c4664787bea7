package cli

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// meter shows how far long work is, on standard error where that is a terminal. It is not
// there at all otherwise: a nil meter shows nothing.
type meter struct {
	bar *progressbar.ProgressBar
}

// meter begins to show work whose size is not known.
func (p *program) meter(what string) *meter { return p.sizedMeter(what, -1) }

// sizedMeter begins to show work of a number of bytes.
func (p *program) sizedMeter(what string, bytes int64) *meter {
	if p.json || !p.onTerminal() {
		return nil
	}
	return &meter{bar: progressbar.NewOptions64(bytes,
		progressbar.OptionSetWriter(p.sys.Err),
		progressbar.OptionSetDescription(clean(what)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// set moves the meter.
func (m *meter) set(bytes int64, what string) {
	if m == nil {
		return
	}
	m.bar.Describe(clean(what))
	_ = m.bar.Set64(bytes) // a progress bar that cannot be drawn is none
}

// close takes the meter off the terminal.
func (m *meter) close() {
	if m != nil {
		_ = m.bar.Finish()
		_ = m.bar.Clear()
	}
}
