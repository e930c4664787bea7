package folder_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keyhall.dev/keyhall/internal/folder"
)

func TestFreshFileSettlesUntilTheClockMovedOn(t *testing.T) {
	tests := []struct {
		name string
		ago  time.Duration // since the change, at a moment with fractions of a second
		want time.Duration
	}{
		{"just now", 0, 20 * time.Millisecond},
		{"a moment ago", 5 * time.Millisecond, 15 * time.Millisecond},
		{"a tick ago", 20 * time.Millisecond, 0},
		{"a year ago", 365 * 24 * time.Hour, 0},
		{"at a full second", 500 * time.Millisecond, 1500 * time.Millisecond},
		{"a little in the future", -10 * time.Millisecond, 20 * time.Millisecond},
		{"far in the future", -time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(500 * time.Millisecond) // a bubble begins at a full second
				begin := time.Now()
				if err := folder.Settle(context.Background(), begin.Add(-tt.ago)); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(begin); got != tt.want {
					t.Errorf("it took %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestSettlingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := folder.Settle(ctx, time.Now()); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}
