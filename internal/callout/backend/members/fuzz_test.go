package members

import (
	"slices"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// What a connection says of the rooms that it is for.
func FuzzRoomIDs(f *testing.F) {
	one := trust.NewID()
	for _, list := range []string{"", one, one + "," + one, one + ",", ",", one + " ", "*", ">", strings.Repeat(one+",", 64) + one, "\x00"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		var named []string
		if list != "" {
			named = strings.Split(list, ",")
		}
		ids, err := roomIDs(named)
		if err != nil {
			if !fault.Is(err, fault.Malformed) && !fault.Is(err, fault.TooLarge) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		said := strings.Split(list, ",")
		for i, id := range ids {
			if _, err := trust.ParseID(id); err != nil || !slices.Contains(said, id) || slices.Contains(ids[:i], id) {
				t.Fatalf("%q names %q", list, ids)
			}
		}
		for _, id := range said {
			if list != "" && !slices.Contains(ids, id) {
				t.Fatalf("%q is left out of %q", id, list)
			}
		}
	})
}
