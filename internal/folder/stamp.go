package folder

import (
	"context"
	"io/fs"
	"math"
	"time"
)

// stamp is what stat says of a file, as far as it tells whether the file is still the same.
// Times are nanoseconds since 1970. The fields after modified are 0 where the system does
// not have them.
type stamp struct {
	size     int64
	modified int64
	changed  int64 // time of status change: no program can set it back
	device   uint64
	inode    uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: nanos(info.ModTime())}
	s.addSystem(info)
	return s
}

// unchanged reports whether s and then are stamps of the same content at the same path. The
// device is not compared: its number may be another after a restart.
func (s stamp) unchanged(then stamp) bool {
	then.device = s.device
	return s == then
}

// identity is what stays of a stamp when a file moves: a rename changes the time of status
// change.
type identity struct {
	device, inode  uint64
	size, modified int64
}

// identity is false where the system does not tell inodes.
func (s stamp) identity() (identity, bool) {
	return identity{s.device, s.inode, s.size, s.modified}, s.inode != 0
}

// nanos is t in nanoseconds since 1970, held at the ends of what an int64 can say.
func nanos(t time.Time) int64 {
	switch sec := t.Unix(); {
	case sec >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case sec <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

// listed is a time of change as listings say it: whole milliseconds, not before 1970.
func listed(modified int64) time.Time {
	return time.Unix(0, max(0, modified)).UTC().Truncate(time.Millisecond)
}

// How long after a change the next one may still leave the same time behind: a tick of the
// kernel's coarse clock with room to spare, or the two seconds of file systems that store no
// fractions.
const (
	tick       = 20 * time.Millisecond
	coarseTick = 2 * time.Second
)

// settle waits until a further change would leave another stamp. A file that is read earlier
// than that after a change could change once more with the same size and the same times, and
// no later scan would notice.
func (s stamp) settle(ctx context.Context) error {
	last := s.changed
	if last == 0 {
		last = s.modified
	}
	wait := tick
	if last%int64(time.Second) == 0 {
		wait = coarseTick
	}
	since := time.Now().UnixNano() - last
	if since >= int64(wait) || since < -int64(wait) { // long ago, or a clock that is wrong anyway
		return nil
	}
	timer := time.NewTimer(min(wait, wait-time.Duration(since)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
