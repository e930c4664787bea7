// Package recent keeps what was used lately: values by key, as many as there is room for.
package recent

import "container/list"

// Cache holds values by key, and of more than it may hold forgets those that were used the
// longest time ago. Its user locks it.
type Cache[K comparable, V any] struct {
	most  int
	order *list.List // of *kept, the last used in front
	by    map[K]*list.Element
}

type kept[K comparable, V any] struct {
	key   K
	value V
}

// New makes one for so many values.
func New[K comparable, V any](most int) *Cache[K, V] {
	return &Cache[K, V]{most: most, order: list.New(), by: make(map[K]*list.Element)}
}

// Get is the value of a key, which is thereby used.
func (r *Cache[K, V]) Get(key K) (value V, found bool) {
	element, found := r.by[key]
	if !found {
		return value, false
	}
	r.order.MoveToFront(element)
	return element.Value.(*kept[K, V]).value, true
}

// Put sets the value of a key, which is thereby used.
func (r *Cache[K, V]) Put(key K, value V) {
	if element, found := r.by[key]; found {
		element.Value.(*kept[K, V]).value = value
		r.order.MoveToFront(element)
		return
	}
	r.by[key] = r.order.PushFront(&kept[K, V]{key, value})
	if r.order.Len() > r.most {
		oldest := r.order.Remove(r.order.Back()).(*kept[K, V])
		delete(r.by, oldest.key)
	}
}

// Remove forgets a key.
func (r *Cache[K, V]) Remove(key K) {
	if element, found := r.by[key]; found {
		r.order.Remove(element)
		delete(r.by, key)
	}
}

// Len is how many there are.
func (r *Cache[K, V]) Len() int { return r.order.Len() }
