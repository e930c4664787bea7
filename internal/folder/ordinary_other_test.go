//go:build !linux

package folder_test

import (
	"os"
	"testing"
)

// asOrdinaryUser reports whether the caller is a user whom file modes bind.
func asOrdinaryUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	return true
}
