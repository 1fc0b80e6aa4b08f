package haproxy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// mode is whether HAProxy sends requests to a server.
type mode int

const (
	maint mode = iota // none
	drain             // those that stick to it, and what is under way
	ready
)

func (m mode) String() string { return [...]string{"maint", "drain", "ready"}[m] }

// row is a server as `show servers state` has it.
type row struct {
	backend, name string
	at            netip.AddrPort // invalid if it has no IP address
	mode          mode
	weight        int // in force
	configured    int // its weight in the configuration
	changed       int // seconds since its state changed
	text          string
}

// state is an answer to `show servers state`.
type state struct {
	header string // with the version that it belongs to
	rows   []row
}

// The bits of srv_admin_state (HAProxy's management guide, `show servers
// state`). The one for "in the configuration" comes with the one that counts.
const (
	adminMaint = 0x01 | 0x02 | 0x20 | 0x40 // forced, inherited, no address, no host name
	adminDrain = 0x08 | 0x10               // forced, inherited
)

// columns are those of `show servers state` that are read.
type columns struct{ backend, name, addr, port, admin, weight, configured, changed int }

// parseState reads an answer to `show servers state`. The columns are found by
// their names, because each version of HAProxy adds some.
func parseState(answer string) (state, error) {
	answer = strings.TrimRight(answer, "\n")
	version, rest, _ := strings.Cut(answer, "\n")
	header, rest, _ := strings.Cut(rest, "\n")
	cols, width, err := parseHeader(version, header)
	if err != nil {
		return state{}, err
	}
	s := state{header: version + "\n" + header + "\n"}
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		r, err := cols.parse(line, width)
		if err != nil {
			return state{}, err
		}
		s.rows = append(s.rows, r)
	}
	return s, nil
}

func parseHeader(version, header string) (columns, int, error) {
	names, is := strings.CutPrefix(header, "# ")
	if version != "1" || !is {
		return columns{}, 0, faultf(whyAnswer, "reading HAProxy's servers: it answers %s", excerpt(version+" "+header))
	}
	index, fields := map[string]int{}, strings.Fields(names)
	for i, name := range fields {
		index[name] = i
	}
	var missing []string
	column := func(name string) int {
		i, ok := index[name]
		if !ok {
			missing = append(missing, name)
		}
		return i
	}
	c := columns{
		backend: column("be_name"), name: column("srv_name"), addr: column("srv_addr"), port: column("srv_port"), admin: column("srv_admin_state"),
		weight: column("srv_uweight"), configured: column("srv_iweight"), changed: column("srv_time_since_last_change"),
	}
	if len(missing) > 0 {
		return columns{}, 0, faultf(whyAnswer, "reading HAProxy's servers: it does not say %s", strings.Join(missing, ", "))
	}
	return c, len(fields), nil
}

func (c columns) parse(line string, width int) (row, error) {
	fields := strings.Fields(line)
	if len(fields) != width {
		return row{}, faultf(whyAnswer, "reading HAProxy's servers: %d fields of %d in %s", len(fields), width, excerpt(line))
	}
	var err error
	number := func(i int) int {
		n, e := strconv.Atoi(fields[i])
		if e != nil && err == nil {
			err = faultf(whyAnswer, "reading HAProxy's servers: no number in %s", excerpt(line))
		}
		return n
	}
	r := row{
		backend: fields[c.backend], name: fields[c.name], text: line,
		weight: number(c.weight), configured: number(c.configured), changed: number(c.changed),
	}
	switch admin := number(c.admin); {
	case admin&adminMaint != 0:
		r.mode = maint
	case admin&adminDrain != 0:
		r.mode = drain
	default:
		r.mode = ready
	}
	port := number(c.port)
	if port < 0 || port > 1<<16-1 {
		return row{}, faultf(whyAnswer, "reading HAProxy's servers: no port in %s", excerpt(line))
	}
	if addr, e := netip.ParseAddr(fields[c.addr]); e == nil && !addr.IsUnspecified() {
		r.at = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return r, err
}

// excerpt is a part of foreign text that fits into a line of the log.
func excerpt(text string) string {
	const most = 120
	if len(text) > most {
		return fmt.Sprintf("%.*q and %d bytes more", most, text[:most], len(text)-most)
	}
	return strconv.Quote(text)
}

// process tells one HAProxy from the one that follows it.
type process struct{ pid, uptime int }

// parseInfo reads an answer to `show info`.
func parseInfo(answer string) (process, error) {
	p, found := process{}, 0
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		var err error
		switch name {
		case "Pid":
			p.pid, err = strconv.Atoi(value)
		case "Uptime_sec":
			p.uptime, err = strconv.Atoi(value)
		default:
			continue
		}
		if err != nil {
			return process{}, faultf(whyAnswer, "reading HAProxy's process: no number in %s", excerpt(line))
		}
		found++
	}
	if found != 2 {
		return process{}, faultf(whyAnswer, "reading HAProxy's process: it answers %s", excerpt(answer))
	}
	return p, nil
}

// follows says that p is not the process that was, but another one. In a
// container all have one PID.
func (p process) follows(was process) bool { return p.pid != was.pid || p.uptime < was.uptime }
