//go:build !windows

package client

const unixPermissions = true
