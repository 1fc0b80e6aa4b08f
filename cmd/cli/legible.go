package cli

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/projecteru2/eru-agent/foreign"
)

// legible is an encoder of the log, in whose fields others' words may stand: it
// shortens them, and lets nothing through that a terminal acts on.
type legible struct{ zapcore.Encoder }

// Clone implements zapcore.Encoder.
func (l legible) Clone() zapcore.Encoder { return legible{l.Encoder.Clone()} }

// EncodeEntry implements zapcore.Encoder.
func (l legible) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	shown := fields
	for i, f := range fields {
		text, long := longText(f)
		if !long {
			continue
		}
		if &shown[0] == &fields[0] {
			shown = append([]zapcore.Field(nil), fields...) // they are the caller's
		}
		shown[i] = zap.String(f.Key, text)
	}
	b, err := l.Encoder.EncodeEntry(e, shown)
	if err != nil {
		return nil, err
	}
	line := foreign.JSON(b.Bytes())
	if len(line) != b.Len() {
		b.Reset()
		_, _ = b.Write(line)
	}
	return b, nil
}

// longField is how long a text may be that is written as it is, in bytes: a label
// that cannot be understood is named within it.
const longField = 1 << 10

// longText is a field's text, shortened, if it has a long one.
func longText(f zapcore.Field) (string, bool) {
	text := f.String
	switch f.Type {
	case zapcore.StringType:
	case zapcore.ByteStringType:
		text = string(f.Interface.([]byte))
	case zapcore.ErrorType:
		text = f.Interface.(error).Error()
	case zapcore.StringerType:
		text = fmt.Sprint(f.Interface)
	default:
		return "", false
	}
	if len(text) <= longField {
		return "", false
	}
	return foreign.Within(text, longField), true
}
