package callout

import "container/list"

// recent holds values by key, and of more than it may hold forgets those that were used
// the longest time ago. Its user locks it.
type recent[K comparable, V any] struct {
	most  int
	order *list.List // of *kept, the last used in front
	by    map[K]*list.Element
}

type kept[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most, order: list.New(), by: make(map[K]*list.Element)}
}

// get is the value of a key, which is thereby used.
func (r *recent[K, V]) get(key K) (value V, found bool) {
	element, found := r.by[key]
	if !found {
		return value, false
	}
	r.order.MoveToFront(element)
	return element.Value.(*kept[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V) {
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

func (r *recent[K, V]) remove(key K) {
	if element, found := r.by[key]; found {
		r.order.Remove(element)
		delete(r.by, key)
	}
}
