package status

import "go.uber.org/zap"

// Why something that stands in etcd cannot be read: the keys of
// ViewState.Unreadable.
const (
	faultJSON          = "json"          // the value is no JSON object with the contract's types
	faultVersion       = "version"       // its "v" is one that is not known
	faultSize          = "size"          // it is larger than any that is written
	faultContradiction = "contradiction" // it says two things at once
	faultAddress       = "address"       // an endpoint is nothing that can be dialled; the rest was read
	faultKey           = "key"           // the key is outside the layout
)

// UnreadableKinds are all keys that ViewState.Unreadable may have.
func UnreadableKinds() []string {
	return []string{faultJSON, faultVersion, faultSize, faultContradiction, faultAddress, faultKey}
}

// fault is something in etcd that cannot be read.
type fault struct {
	key      string
	revision int64
	why      string
	err      error
}

// mostNamed bounds how many keys are named in the log, and remembered.
const mostNamed = 1000

// faults counts what cannot be read, and names each key once.
type faults struct {
	log    *zap.Logger
	counts map[string]uint64
	seen   map[string]int64 // the revision of what was counted last, by key
}

func newFaults(log *zap.Logger) *faults {
	return &faults{log: log, counts: map[string]uint64{}, seen: map[string]int64{}}
}

// note takes what was found when a value was read, nil for nothing. A value that
// is read again is not counted again.
func (f *faults) note(found *fault) {
	if found == nil {
		return
	}
	revision, known := f.seen[found.key]
	if known && revision == found.revision {
		return
	}
	f.counts[found.why]++
	if !known && len(f.seen) == mostNamed {
		return
	}
	f.seen[found.key] = found.revision
	if !known {
		f.log.Warn("passing over what cannot be read", zap.String("key", found.key),
			zap.Int64("revision", found.revision), zap.String("why", found.why), zap.Error(found.err))
	}
}

// forget lets a key be named again, because it was deleted.
func (f *faults) forget(key string) { delete(f.seen, key) }
