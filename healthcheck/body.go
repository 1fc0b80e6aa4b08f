package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"time"
)

const (
	// maxBody bounds what of the body is matched, maxChunked what is read for
	// it from the wire, where a chunk of one byte takes six; both in bytes.
	maxBody    = 64 << 10
	maxChunked = 8 * maxBody
	// maxExpr bounds an expression in bytes, maxSteps its program: the time of
	// a match grows with steps and bytes (48 steps, 64 KiB: 50-85 ms at worst).
	maxExpr  = 1024
	maxSteps = 48
)

// bodyCheck is what a body must match. Matches take turns: all bodies of a node
// together never cost it more than one CPU.
type bodyCheck struct {
	want *regexp.Regexp
	turn chan struct{} // holds one; see httpProber
}

// judge reads the body and matches it. The probe's time ends with the reading:
// what comes then is the agent's work, and no evidence against the container.
func (b *bodyCheck) judge(ctx context.Context, from io.Reader, start time.Time, v Verdict) Verdict {
	body, err := io.ReadAll(io.LimitReader(from, maxBody))
	v.Timings.Total = time.Since(start)
	if err != nil {
		if reason := classify(err); reason == ReasonTimeout || reason == ReasonAgent {
			return v.fail(Fail(reason, "reading the body: %s", plain(err)))
		}
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return v.fail(Fail(ReasonAgent, "waiting to match the body: too much else is verified or matched"))
	}
	v.Pass = b.want.Match(body)
	<-b.turn
	if !v.Pass {
		return v.fail(Fail(ReasonHTTPBody, "%q not found in the first %d bytes", b.want.String(), len(body)))
	}
	return v
}

func (p httpProber) readBody(s *Settings, method string) (*bodyCheck, error) {
	expr := s.String("body", "")
	if expr == "" {
		return nil, nil
	}
	want, err := compile(expr)
	if err != nil {
		return nil, s.Errorf("body", "an RE2 regular expression: %s", err)
	}
	if method == "HEAD" {
		return nil, s.Errorf("body", "a method that has a body in its answer, not HEAD")
	}
	return &bodyCheck{want: want, turn: p.turn}, nil
}

func compile(expr string) (*regexp.Regexp, error) {
	if len(expr) > maxExpr {
		return nil, fmt.Errorf("longer than %d bytes", maxExpr)
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxSteps {
		return nil, errors.New("too costly to match: shorten it or its repetitions")
	}
	return regexp.Compile(expr)
}
