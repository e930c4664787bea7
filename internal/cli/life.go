package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// life is a flag that says how long something lasts: a Go duration like 90m or 720h, or
// days and weeks, 30d and 2w, which are what people count in.
type life time.Duration

const (
	day     = 24 * time.Hour
	longest = 100_000 * day // which a duration still holds
)

// String implements pflag.Value.
func (l *life) String() string {
	d := time.Duration(*l)
	switch {
	case d == 0:
		return ""
	case d%day == 0 && d > day:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return d.String()
}

// Type implements pflag.Value.
func (l *life) Type() string { return "duration" }

// Set implements pflag.Value.
func (l *life) Set(text string) error {
	units := map[string]time.Duration{"d": day, "w": 7 * day}
	for suffix, unit := range units {
		number, found := strings.CutSuffix(text, suffix)
		if !found {
			continue
		}
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= int(longest/unit) {
			*l = life(time.Duration(n) * unit)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > longest {
		return fmt.Errorf("write it as 90m, 24h, 30d or 2w")
	}
	*l = life(d)
	return nil
}
