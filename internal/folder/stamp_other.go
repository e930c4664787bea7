//go:build !linux && !darwin

package folder

import "io/fs"

// addSystem adds nothing: size and time of change are what every system has.
func (s *stamp) addSystem(fs.FileInfo) {}
