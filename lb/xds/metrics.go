package xds

import (
	"maps"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what clients have done.
type counts struct {
	refused     *prometheus.CounterVec
	unconfirmed prometheus.Counter
	turnedAway  prometheus.Counter
}

func newCounts() counts {
	c := counts{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_lb_xds_refused_total", Help: "Answers that a client of xDS refused (NACK), by type of resource.",
		}, []string{"type"}),
		unconfirmed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eru_lb_xds_unconfirmed_total", Help: "Times that a client of xDS did not confirm a change of its endpoints in time.",
		}),
		turnedAway: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eru_lb_xds_turned_away_total", Help: "Streams that were refused because there were as many as there may be.",
		}),
	}
	for _, typeURL := range append(servedTypes(), "") {
		c.refused.WithLabelValues(short(typeURL)) // counted from 0 on
	}
	return c
}

// short is the name of a type of resource; those that are not served share one,
// because clients choose them.
func short(typeURL string) string {
	if served(typeURL) == "" {
		return "other"
	}
	return typeURL[strings.LastIndexByte(typeURL, '.')+1:]
}

// descs are of what is counted when it is asked for, so that a client which has
// gone leaves no series.
type descs struct{ version, missing, streams, client *prometheus.Desc }

func newDescs() descs {
	return descs{
		version: prometheus.NewDesc("eru_lb_xds_version", "Version of the endpoints that is served.", nil, nil),
		missing: prometheus.NewDesc("eru_lb_xds_servers_left_out", "Servers that would be used and do not publish the port.", []string{"backend"}, nil),
		streams: prometheus.NewDesc("eru_lb_xds_streams", "Streams of clients of xDS.", []string{"protocol"}, nil),
		client: prometheus.NewDesc("eru_lb_xds_client_version", "Version of the endpoints that a client of xDS has confirmed, of several streams the lowest.",
			[]string{"client", "address"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (o *Outlet) Describe(to chan<- *prometheus.Desc) {
	for _, c := range o.clients.counts.all() {
		c.Describe(to)
	}
	to <- o.descs.version
	to <- o.descs.missing
	to <- o.descs.streams
	to <- o.descs.client
}

// Collect implements prometheus.Collector.
func (o *Outlet) Collect(to chan<- prometheus.Metric) {
	for _, c := range o.clients.counts.all() {
		c.Collect(to)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	o.mu.Lock()
	version, missing := o.version, maps.Clone(o.missing)
	o.mu.Unlock()
	gauge(o.descs.version, float64(version))
	for backend, n := range missing {
		gauge(o.descs.missing, float64(n), backend)
	}
	seen := o.clients.census()
	gauge(o.descs.streams, float64(seen.sotw), "sotw")
	gauge(o.descs.streams, float64(seen.delta), "delta")
	for who, taken := range seen.taken {
		gauge(o.descs.client, float64(taken), who.node, who.address)
	}
}

func (c counts) all() []prometheus.Collector {
	return []prometheus.Collector{c.refused, c.unconfirmed, c.turnedAway}
}

// who is a client as metrics name it; it may have several streams.
type who struct{ node, address string }

// census is who is connected.
type census struct {
	sotw, delta int
	taken       map[who]uint64 // of those who follow endpoints
}

func (c *clients) census() census {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := census{taken: map[who]uint64{}}
	for id, cl := range c.streams {
		if id.delta {
			seen.delta++
		} else {
			seen.sotw++
		}
		if len(cl.names) == 0 {
			continue
		}
		at := who{cl.node, cl.address}
		if least, known := seen.taken[at]; !known || cl.taken < least {
			seen.taken[at] = cl.taken
		}
	}
	return seen
}
