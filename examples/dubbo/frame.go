package dubbo

import (
	"bytes"
	"encoding/binary"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// The head of a frame, https://dubbo.apache.org/en/overview/reference/protocols/tcp:
// magic (2 bytes), flags with the serialization in their low 5 bits (1), status
// of a response (1), request id (8), length of the body (4).
const (
	headLength = 16

	flagRequest = 1 << 7
	flagTwoWay  = 1 << 6 // an answer is wanted
	flagEvent   = 1 << 5 // a heartbeat, not a call

	hessian2 = 2
	null     = 'N' // in hessian2, and what a heartbeat carries

	statusOK = 20
)

func magic() []byte { return []byte{0xda, 0xbb} }

// request is a heartbeat that wants an answer.
func request(id uint64) []byte {
	b := append(magic(), flagRequest|flagTwoWay|flagEvent|hessian2, 0)
	b = binary.BigEndian.AppendUint64(b, id)
	b = binary.BigEndian.AppendUint32(b, 1)
	return append(b, null)
}

// judge says whether head answers the heartbeat with that id.
func judge(head [headLength]byte, id uint64) healthcheck.Verdict {
	flags, status, got := head[2], head[3], binary.BigEndian.Uint64(head[4:])
	switch {
	case !bytes.HasPrefix(head[:], magic()):
		return healthcheck.Fail(healthcheck.ReasonAnswer, "%x is no Dubbo frame", head[:4])
	case flags&flagRequest != 0:
		return healthcheck.Fail(healthcheck.ReasonAnswer, "a request came back, not an answer")
	case flags&flagEvent == 0:
		return healthcheck.Fail(healthcheck.ReasonAnswer, "the answer is not one to a heartbeat")
	case got != id:
		return healthcheck.Fail(healthcheck.ReasonAnswer, "the answer is to request %d, not to %d", got, id)
	case status != statusOK:
		return healthcheck.Fail(healthcheck.ReasonAnswer, "status %d, want %d", status, statusOK)
	default:
		return healthcheck.Verdict{Pass: true}
	}
}
