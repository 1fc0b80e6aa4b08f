package healthcheck

import (
	"errors"
	"fmt"
	"strings"
)

// Reading is one label of a check and what it was taken for, for people. What is
// in it is as the label has it.
type Reading struct {
	Label   string // its name, or the place in ERU_META
	Value   string
	Meaning string
}

// Read says of each label that concerns the check what it means, in the order in
// which they count: ERU_META, then flat ones. The label that makes Parse fail
// says what was expected in its place.
func (p *Parser) Read(labels map[string]string) []Reading {
	list := p.readMeta(labels)
	for _, label := range sortedKeys(labels) {
		if label == labelPublish || label == "ERU" || strings.HasPrefix(label, LabelPrefix) {
			list = append(list, Reading{label, labels[label], meaning(label, labels[label])})
		}
	}
	var fault *LabelError
	if _, err := p.Parse(labels); !errors.As(err, &fault) {
		return list
	}
	for i := range list {
		if list[i].Label == fault.Label {
			list[i].Meaning = "cannot be understood: want " + fault.Want
			return list
		}
	}
	return append(list, Reading{fault.Label, fault.Value, "cannot be understood: want " + fault.Want})
}

// readMeta says of each part of ERU_META what it means, or which flat label has
// replaced it.
func (p *Parser) readMeta(labels map[string]string) []Reading {
	raw, ok := labels[labelMeta]
	if !ok {
		return nil
	}
	settings := map[string]*Settings{}
	for _, prober := range p.probers {
		settings[prober.Kind()] = newSettings(prober.Kind())
	}
	publish, err := readMeta(raw, settings)
	if err != nil {
		return []Reading{{labelMeta, raw, "Eru core's description of the container"}}
	}
	var list []Reading
	add := func(from, value, flat string) {
		r := Reading{from, value, meaning(flat, value)}
		if _, ok := labels[flat]; ok {
			r.Meaning = "replaced by " + flat
		}
		list = append(list, r)
	}
	for _, prober := range p.probers {
		s := settings[prober.Kind()]
		for _, key := range sortedKeys(s.values) {
			add(s.values[key].from, s.values[key].value, LabelPrefix+s.kind+"."+key)
		}
	}
	if publish != nil {
		add(labelMeta+" Publish", strings.Trim(fmt.Sprint(publish), "[]"), labelPublish)
	}
	return list
}

// meaning is what a label asks for, in words.
func meaning(label, value string) string {
	switch label {
	case "ERU":
		return "the agent is to watch the container"
	case labelPublish:
		return "proxies may send to these ports of the container"
	case labelInterval:
		return "a probe each " + value
	case labelTimeout:
		return "a probe fails after " + value
	case labelNetwork:
		return "probe it at its address on this network"
	case labelVia:
		return "probe it from here: the host, inside the container's network namespace (netns), or both"
	}
	kind, key, _ := strings.Cut(strings.TrimPrefix(label, LabelPrefix), ".")
	if name, ok := strings.CutPrefix(key, "header."); ok && kind == kindHTTP {
		return "send the header " + name
	}
	words := map[string]string{
		"http.port": "ask HTTP on this port", "http.path": "ask for this path", "http.method": "ask with this method", "http.host": "send this Host header",
		"http.scheme": "ask with this scheme", "http.codes": "any of these codes passes", "http.body": "the body must match this expression",
		"http.tls.skip_verify": "whether any certificate will do", "http.tls.server_name": "the certificate must be of this name",
		"tcp.ports": "each of these ports must take a connection",
	}
	if text, ok := words[kind+"."+key]; ok {
		return text
	}
	return fmt.Sprintf("the setting %s of the %s probe", key, kind)
}
