package cli

import (
	"fmt"
	"strconv"
	"time"
)

// size writes a number of bytes as people read it.
func size(bytes int64) string {
	const unit = 1000
	if bytes < unit {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	value, prefix := float64(bytes)/unit, 0
	for value >= 999.95 && prefix < 5 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTPE"[prefix])
}

// moment writes a time on the reader's clock; nothing for the zero time.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04")
}

// until writes when something ends.
func until(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return moment(at)
}

// count writes a number with its noun.
func count(number int, one, many string) string {
	if number == 1 {
		return "1 " + one
	}
	return strconv.Itoa(number) + " " + many
}
