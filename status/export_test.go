package status

import "time"

// SetAuditEvery makes a Writer that does not run yet look more often.
func (w *Writer) SetAuditEvery(d time.Duration) { w.auditEvery = d }

// SetLookEvery makes a Store that does not follow yet look more often.
func (s *Store) SetLookEvery(d time.Duration) { s.lookEvery = d }

// ParseKey reads a container's key under prefix.
func ParseKey(prefix, key string) (Key, error) { return newLayout(prefix).parse(key) }

// PathOf returns the container's key under prefix.
func PathOf(prefix string, k Key) string { return newLayout(prefix).container(k) }

// Kept is the number of keys that the Writer remembers.
func (w *Writer) Kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys.entries)
}

// ForgetRefusal lets time pass after a refused password.
func (s *Store) ForgetRefusal() { s.refusal.at = time.Time{} }

// Member is the endpoint that a Store asks first; another one if that was slow to connect.
func (s *Store) Member() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Endpoints[s.first]
}

// SetRelistEvery makes a Store that does not follow yet list more often.
func (s *Store) SetRelistEvery(d time.Duration) { s.relistEvery = d }

// SaveCopy writes a View's copy now.
func (v *View) SaveCopy() error { return v.save() }
