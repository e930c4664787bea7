package recent_test

import (
	"testing"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/internal/recent"
)

// TestWhatWasUsedLatelyIsKept holds the cache against a list in the order of use.
func TestWhatWasUsedLatelyIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		cache := recent.New[int, int](most)
		var order []int // the last used at the end
		values := make(map[int]int)
		use := func(key int) {
			for i, known := range order {
				if known == key {
					order = append(order[:i:i], order[i+1:]...)
					break
				}
			}
			order = append(order, key)
			if len(order) > most {
				delete(values, order[0])
				order = order[1:]
			}
		}
		for range 40 {
			key := rapid.IntRange(0, 7).Draw(t, "key")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				value := rapid.Int().Draw(t, "value")
				values[key] = value
				cache.Put(key, value)
				use(key)
			case 1:
				got, found := cache.Get(key)
				want, known := values[key]
				if found != known || got != want {
					t.Fatalf("%d: %d, %v, want %d, %v", key, got, found, want, known)
				}
				if known {
					use(key)
				}
			case 2:
				cache.Remove(key)
				if _, known := values[key]; known {
					delete(values, key)
					for i, one := range order {
						if one == key {
							order = append(order[:i:i], order[i+1:]...)
							break
						}
					}
				}
			}
			if cache.Len() != len(values) {
				t.Fatalf("%d are kept, want %d", cache.Len(), len(values))
			}
		}
	})
}
