package healthcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/spelling"
)

// The labels of a check that belong to no Prober.
const (
	labelInterval = LabelPrefix + "interval"
	labelTimeout  = LabelPrefix + "timeout"
	labelNetwork  = LabelPrefix + "network" // read by package watcher
	labelVia      = LabelPrefix + "via"
	labelPublish  = "eru.publish"
	labelMeta     = "ERU_META"
)

// Limits of what a label may ask for. MaxTimeout also bounds how long a
// container that hangs keeps its share of slots from others.
const (
	MaxInterval = time.Hour
	MaxTimeout  = 10 * time.Second
	MinTimeout  = 10 * time.Millisecond
)

// Config holds the defaults and limits of every check; none may be zero.
// Waits are rounded down to Grid; what is shorter than it stays as it is.
type Config struct {
	Interval      time.Duration // between probes of a healthy container
	Timeout       time.Duration // of one attempt: connect, TLS and answer together
	StartInterval time.Duration // first wait of a container that has not passed yet, grows to Interval
	RetryInterval time.Duration // between probes of one that passed before and fails
	MinInterval   time.Duration // least interval that a label may ask for
	Grid          time.Duration // step on which probes start together
	Concurrency   int           // probes under way at once, of each container at most 8
	Netns         bool          // labels may ask for probes from inside the container's network namespace
}

// Check is what one container asks to be checked for. Without probes it is
// healthy while it runs.
type Check struct {
	Probes   []Probe
	Interval time.Duration
	Timeout  time.Duration
	Via      Via // ViaHost if empty
	// Publish lists the container ports that proxies may send to.
	Publish []uint16

	asked   []*Settings // of each kind that makes a probe
	network bool        // a label names the network whose address is asked
}

// Parser reads checks from labels.
type Parser struct {
	cfg     Config
	probers []Prober
}

// NewParser returns a Parser that knows HTTP, TCP and the given kinds. It panics
// when a kind is no word of [a-z0-9_] or stands there twice, because then no
// label could ask for it.
func NewParser(cfg Config, more ...Prober) *Parser {
	probers := append([]Prober{httpProber{turn: make(chan struct{}, 1), memory: &scratches{}}, tcpProber{}}, more...)
	known := map[string]bool{}
	for _, p := range probers {
		kind := p.Kind()
		if known[kind] || kind == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			panic(fmt.Sprintf("healthcheck: prober of kind %q: want a word of [a-z0-9_] that no other prober has", kind))
		}
		known[kind] = true
	}
	return &Parser{cfg: cfg, probers: probers}
}

// Parse reads the check from the labels of a container: ERU_META, overlaid by
// flat labels one by one. The error is a *LabelError and names the label; a
// label that cannot be understood is never taken for "no check".
func (p *Parser) Parse(labels map[string]string) (Check, error) {
	via, err := p.via(labels)
	if err != nil {
		return Check{}, err
	}
	check := Check{Interval: p.cfg.Interval, Timeout: p.cfg.Timeout, Via: via}
	_, check.network = labels[labelNetwork]
	publish, settings, err := p.collect(labels)
	if err != nil {
		return Check{}, err
	}
	if err := p.timing(labels, &check); err != nil {
		return Check{}, err
	}
	for _, prober := range p.probers {
		s := settings[prober.Kind()]
		if len(s.values) == 0 {
			continue
		}
		probes, err := prober.Parse(s)
		if err == nil {
			err = s.unread()
		}
		if err == nil && len(probes) == 0 {
			err = s.Errorf(sortedKeys(s.values)[0], "labels that make a probe")
		}
		if err != nil {
			return Check{}, err
		}
		check.Probes, check.asked = append(check.Probes, probes...), append(check.asked, s)
	}
	check.Publish = publish
	if publish == nil {
		check.Publish = probedPorts(check.Probes)
	}
	return check, nil
}

// collect sorts labels by kind: those of ERU_META first, so that flat ones
// replace them. It returns the ports to publish, nil if no label says them.
func (p *Parser) collect(labels map[string]string) ([]uint16, map[string]*Settings, error) {
	settings := map[string]*Settings{}
	for _, prober := range p.probers {
		settings[prober.Kind()] = newSettings(prober.Kind())
	}
	var publish []uint16
	if raw, ok := labels[labelMeta]; ok {
		var err error
		if publish, err = readMeta(raw, settings); err != nil {
			return nil, nil, err
		}
	}
	for _, label := range sortedKeys(labels) {
		if err := p.place(label, labels[label], settings); err != nil {
			return nil, nil, err
		}
	}
	if list, ok := labels[labelPublish]; ok {
		var err error
		if publish, err = parsePorts(list); err != nil {
			return nil, nil, &LabelError{Label: labelPublish, Value: list, Want: err.Error()}
		}
	}
	return publish, settings, nil
}

// place files one flat label under its kind.
func (p *Parser) place(label, value string, settings map[string]*Settings) error {
	name, ok := strings.CutPrefix(label, LabelPrefix)
	if !ok {
		return nil
	}
	switch label {
	case labelInterval, labelTimeout, labelNetwork, labelVia:
		return nil
	}
	kind, key, _ := strings.Cut(name, ".")
	s, known := settings[kind]
	if !known || key == "" {
		return &LabelError{Label: label, Value: value, Want: p.known(kind, key)}
	}
	s.values[key] = setting{value: value, from: label}
	return nil
}

// known says what was expected in the place of a label of no known kind.
func (p *Parser) known(kind, key string) string {
	words, rest := p.kinds(), "."+key
	if key == "" {
		words, rest = []string{"interval", "timeout", "network", "via"}, ""
	}
	if near := spelling.Nearest(kind, words); near != "" {
		return "a known label, perhaps " + LabelPrefix + near + rest
	}
	return "interval, timeout, network, via or a label of a kind that this agent knows: " + strings.Join(p.kinds(), ", ")
}

// via reads from where the container is asked.
func (p *Parser) via(labels map[string]string) (Via, error) {
	value, ok := labels[labelVia]
	switch via := Via(value); {
	case !ok, via == ViaHost:
		return ViaHost, nil
	case via != ViaNetns && via != ViaBoth:
		return "", &LabelError{Label: labelVia, Value: value, Want: "host, netns or both"}
	case !p.cfg.Netns:
		return "", &LabelError{Label: labelVia, Value: value,
			Want: "host: the agent probes from inside only with healthcheck.netns: true, which needs the capabilities of netns.conf, see docs/probes.md"}
	default:
		return via, nil
	}
}

func (p *Parser) timing(labels map[string]string, check *Check) error {
	var err error
	if v, ok := labels[labelInterval]; ok {
		if check.Interval, err = parseDuration(labelInterval, v, p.cfg.MinInterval, MaxInterval); err != nil {
			return err
		}
	}
	if v, ok := labels[labelTimeout]; ok {
		if check.Timeout, err = parseDuration(labelTimeout, v, MinTimeout, MaxTimeout); err != nil {
			return err
		}
	}
	return nil
}

func (p *Parser) kinds() []string {
	kinds := make([]string, 0, len(p.probers))
	for _, prober := range p.probers {
		kinds = append(kinds, prober.Kind())
	}
	return kinds
}

func probedPorts(probes []Probe) []uint16 {
	var ports []uint16
	for _, probe := range probes {
		if probe.Port != 0 && !slices.Contains(ports, probe.Port) {
			ports = append(ports, probe.Port)
		}
	}
	return ports
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
