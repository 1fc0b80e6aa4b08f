package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
)

// MaxDetail is the longest Verdict.Detail in bytes, so that what a hostile
// container answers cannot fill logs or etcd.
const MaxDetail = foreign.MaxText

// Reason says in one word why a probe failed. The list is closed: proxies and
// alerts may match on it.
type Reason string

// The reasons that a probe can give. A Prober that is compiled in uses the
// same ones; ReasonAnswer fits what no other describes.
const (
	ReasonHTTPCode     Reason = "http_code"       // an answer with a code outside the accepted ones
	ReasonHTTPBody     Reason = "http_body"       // the body does not match
	ReasonHTTPProtocol Reason = "http_protocol"   // what came back is not HTTP, or its head exceeds the cap
	ReasonAnswer       Reason = "answer"          // a compiled-in prober read an answer and it was no
	ReasonRefused      Reason = "connect_refused" // nobody listens
	ReasonReset        Reason = "reset"           // closed or reset before the answer was whole
	ReasonUnreachable  Reason = "unreachable"     // no route to the address
	ReasonTimeout      Reason = "timeout"         // no verdict within the timeout
	ReasonTLS          Reason = "tls"             // handshake or certificate
	ReasonNetwork      Reason = "network"         // it passes inside its network namespace, but not from the host
	ReasonCapability   Reason = "capability"      // the agent may not enter its network namespace; nobody was asked
	ReasonAgent        Reason = "agent"           // the agent's own lack of descriptors, ports, memory or time; never published
)

// Timings are the phases of one probe, each measured from its start; zero
// where a phase was not reached or does not exist. Total ends when the last of
// the answer was read: what the agent does with it then is not counted.
type Timings struct {
	Connect   time.Duration `json:"connect"`
	TLS       time.Duration `json:"tls,omitempty"`
	Write     time.Duration `json:"write,omitempty"` // the kernel has taken the request
	FirstByte time.Duration `json:"first_byte,omitempty"`
	Total     time.Duration `json:"total"`
}

// Verdict is what one probe found out. A failed probe is a verdict, not an
// error.
type Verdict struct {
	Pass    bool    `json:"pass"`
	Reason  Reason  `json:"reason,omitempty"` // empty when Pass
	Detail  string  `json:"detail,omitempty"` // one line for a person, at most MaxDetail bytes
	Probe   string  `json:"probe"`            // which one, "http :80/healthz"
	Timings Timings `json:"timings"`
}

// Fail returns a negative verdict. Detail is formatted and made fit to be shown
// (package foreign).
func Fail(reason Reason, format string, args ...any) Verdict {
	return Verdict{Reason: reason, Detail: foreign.Text(fmt.Sprintf(format, args...))}
}

// FailFrom turns an error of a connection into a negative verdict; doing says
// what was tried ("connecting", "reading the answer").
func FailFrom(doing string, err error) Verdict {
	return Fail(classify(err), "%s: %s", doing, plain(err))
}

func classify(err error) Reason {
	var (
		netErr  net.Error
		header  tls.RecordHeaderError
		alert   tls.AlertError
		invalid *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		barred  *barredError
	)
	switch {
	case ownFault(err):
		return ReasonAgent
	case errors.As(err, &barred):
		return ReasonCapability
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return ReasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EPERM):
		return ReasonUnreachable
	case errors.As(err, &header), errors.As(err, &alert), errors.As(err, &invalid), errors.As(err, &unknown):
		return ReasonTLS
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ReasonReset
	default:
		return ReasonUnreachable
	}
}

// ownFault tells the agent's troubles from the container's: they are no
// evidence against it.
func ownFault(err error) bool {
	for _, own := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, context.Canceled, errNowhere, errLeft,
	} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// plain drops what packages net and os put in front: the verdict stands beside
// the container's address anyway.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return plain(op.Err)
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return plain(path.Err)
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err.Error()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	default:
		return err.Error()
	}
}
