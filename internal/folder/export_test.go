package folder

import (
	"context"
	"time"
)

// Settle is stamp.settle for a file that was changed at the given time.
func Settle(ctx context.Context, changed time.Time) error {
	return stamp{changed: nanos(changed)}.settle(ctx)
}
