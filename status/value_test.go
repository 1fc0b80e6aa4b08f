package status_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

func TestHealthyIsTheHealthyStateAlone(t *testing.T) {
	for state, running := range map[status.State]bool{
		status.StateStarting: true, status.StateHealthy: true, status.StateUnhealthy: true, status.StateDraining: true,
		status.StatePaused: true, status.StateInvalid: true, status.StateStopped: false, status.StateLost: false,
	} {
		// What the caller says of the two fields does not count.
		for _, said := range []bool{true, false} {
			s, err := status.Decode(status.Status{State: state, Running: said, Healthy: said}.Encode(1))
			if err != nil {
				t.Fatal(err)
			}
			if s.Healthy != (state == status.StateHealthy) || s.Running != running {
				t.Errorf("%s: running %v, healthy %v", state, s.Running, s.Healthy)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for value, want := range map[string]string{
		"":                                      "decoding a status: unexpected end of JSON input",
		"[]":                                    "decoding a status: json: cannot unmarshal array",
		`{"id":1}`:                              "decoding a status: json: cannot unmarshal number",
		`{"id":"a"`:                             "decoding a status: unexpected end of JSON input",
		`{"since":"9999-12-31T23:59:59-23:59"}`: "decoding a status: year 10000 is not 0 to 9999",
	} {
		if _, err := status.Decode([]byte(value)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("decoding %q: %v, want %q", value, err, want)
		}
	}
}

// FuzzDecode holds that no value makes a reader or a writer panic, and that
// what is written is what is read.
func FuzzDecode(f *testing.F) {
	f.Add(in(status.StateHealthy, container(1)).Encode(7))
	f.Add([]byte(`{"id":"x","healthy":true,"running":true}`))
	f.Add([]byte(`{"state":"healthy","host":"10.0.0.5","port":80,"ttl":1,"targetstrip":1,"seq":7}`))
	f.Add([]byte(`{"state":"unhealthy","host":"10.0.0.5","port":80,"seq":7}`))
	f.Add([]byte(`{"since":"0000-01-01T00:00:00+23:59"}`))
	f.Add([]byte(`{"since":"9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte(`{"name":"\ud800","detail":"\\ufffd","networks":{"":"","a":"b"}}`))
	f.Add([]byte("{\"detail\":\"\xff\"}"))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if n, err := status.DecodeNode(value); err == nil {
			n.Encode()
		}
		s, err := status.Decode(value)
		if err != nil {
			return
		}
		wrote := s.Encode(s.Seq)
		again, err := status.Decode(wrote)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", value, wrote, err)
		}
		if twice := again.Encode(again.Seq); !bytes.Equal(wrote, twice) {
			t.Errorf("written as %q, then as %q", wrote, twice)
		}
		if again.Healthy != (again.State == status.StateHealthy) {
			t.Errorf("%q: state %q, healthy %v", value, again.State, again.Healthy)
		}
	})
}

// FuzzEncode holds that a value equals what it is read as, whatever bytes a
// container put into it: else it would be written again after each restart.
func FuzzEncode(f *testing.F) {
	f.Add("name", "detail", int64(0))
	f.Add("\xff", "\xed\xa0\x80 <script>\u2028", int64(1))
	f.Add(`\ufffd`, "\ufffd", int64(-1))
	f.Fuzz(func(t *testing.T, name, detail string, nanos int64) {
		wrote := status.Status{
			Name: name, Detail: detail, State: status.StateHealthy, Since: time.Unix(0, nanos), Started: time.Unix(0, nanos),
			Networks: map[string]string{name: detail, detail: name},
		}.Encode(3)
		s, err := status.Decode(wrote)
		if err != nil {
			t.Fatal(err)
		}
		if again := s.Encode(3); !bytes.Equal(again, wrote) {
			t.Errorf("written as %q, then as %q", wrote, again)
		}
	})
}
