package folder

import (
	"io/fs"
	"syscall"
	"time"
)

func (s *stamp) addSystem(info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed = nanos(time.Unix(st.Ctimespec.Unix()))
		s.device, s.inode = uint64(uint32(st.Dev)), st.Ino
	}
}
