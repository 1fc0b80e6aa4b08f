package lb

import (
	"maps"

	"go.uber.org/zap"
)

// troubles names what is wrong once, however often it is met, and once more when
// it is over.
type troubles struct {
	log   *zap.Logger
	known map[string]bool
}

// now says what is wrong at present; whatever was and stands there no more is
// over.
func (t *troubles) now(texts map[string]bool) {
	for text := range texts {
		if !t.known[text] {
			t.log.Warn("the proxy is not as it should be", zap.String("why", text))
		}
	}
	for text := range t.known {
		if !texts[text] {
			t.log.Info("that is over", zap.String("why", text))
		}
	}
	t.known = maps.Clone(texts)
}
