package client

import "io/fs"

const unixPermissions = false // access lists say who may read

// isOwn reports whether a file is the member's; access lists say so.
func isOwn(fs.FileInfo) bool { return true }
