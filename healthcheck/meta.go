package healthcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// meta is the part of Eru core's ERU_META label that concerns health. The keys
// are those of its Go struct.
type meta struct {
	Publish     []string
	HealthCheck *struct {
		TCPPorts []string
		HTTPPort string
		HTTPURL  string
		HTTPCode int
	}
}

// readMeta turns ERU_META into the settings that flat labels would have made,
// so that there is one reading of them. It returns Publish, nil if it is empty.
func readMeta(raw string, settings map[string]*Settings) ([]uint16, error) {
	var m meta
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return nil, &LabelError{Label: labelMeta, Value: raw, Want: "Eru's JSON: " + jsonFault(err)}
	}
	var publish []uint16
	if len(m.Publish) > 0 {
		list := strings.Join(m.Publish, ",")
		var err error
		if publish, err = parsePorts(list); err != nil {
			return nil, &LabelError{Label: labelMeta + " Publish", Value: list, Want: err.Error()}
		}
	}
	hc := m.HealthCheck
	if hc == nil {
		return publish, nil
	}
	if len(hc.TCPPorts) > 0 {
		settings["tcp"].fromMeta("ports", strings.Join(hc.TCPPorts, ","), "TCPPorts")
	}
	switch {
	case hc.HTTPPort != "":
		settings["http"].fromMeta("port", hc.HTTPPort, "HTTPPort")
		settings["http"].fromMeta("path", hc.HTTPURL, "HTTPURL")
		settings["http"].fromMeta("codes", metaCodes(hc.HTTPCode), "HTTPCode")
	case hc.HTTPURL != "" || hc.HTTPCode != 0:
		return nil, &LabelError{Label: labelMeta + " HealthCheck.HTTPPort", Want: "a port, because HTTPURL or HTTPCode is set"}
	}
	return publish, nil
}

func jsonFault(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Sprintf("%s of type %s, not %s", wrong.Field, wrong.Type, wrong.Value)
	}
	return err.Error()
}

func (s *Settings) fromMeta(key, value, field string) {
	s.values[key] = setting{value: value, from: labelMeta + " HealthCheck." + field}
}

// metaCodes: 0 accepts 200-499, else exactly that code.
func metaCodes(code int) string {
	if code == 0 {
		return "200-499"
	}
	return strconv.Itoa(code)
}
