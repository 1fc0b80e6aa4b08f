package trail

import "iter"

// ring holds the newest of many.
type ring[T any] struct {
	items []T
	first int // the oldest, once it is full
}

// add puts v into the place of the oldest if there are limit already.
func (r *ring[T]) add(v T, limit int) {
	if len(r.items) < limit {
		r.items = append(r.items, v)
		return
	}
	r.items[r.first] = v
	r.first = (r.first + 1) % limit
}

func (r *ring[T]) len() int { return len(r.items) }

// all are the items, the oldest first.
func (r *ring[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range r.items {
			if !yield(r.items[(r.first+i)%len(r.items)]) {
				return
			}
		}
	}
}

// last is the newest item; there has to be one.
func (r *ring[T]) last() T {
	return r.items[(r.first+len(r.items)-1)%len(r.items)]
}
