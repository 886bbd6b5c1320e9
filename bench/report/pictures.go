// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"strconv"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// picture is an SVG file.
type picture struct {
	file, title string
	svg         []byte
}

// Inline is the picture as an element of a page, without what stands before it in a
// file. It was drawn here: nothing in it has to be escaped.
func (p picture) Inline() template.HTML {
	return template.HTML(p.svg[bytes.Index(p.svg, []byte("<svg")):])
}

// pictures draws all that there is data for, the main picture first.
func (d *data) pictures() (out []picture) {
	bars := func(name string, c *barChart) {
		if len(c.groups) > 0 {
			out = append(out, picture{name + ".svg", c.title, c.svg()})
		}
	}
	curves := func(name string, c *curveChart) {
		if len(c.curves) > 0 {
			out = append(out, picture{name + ".svg", c.title, c.svg()})
		}
	}
	bars("main", d.mainChart())
	for _, c := range d.caseCharts(result.Stream, "throughput and CPU", rate, cpu) {
		bars("stream-"+c.slug(), c)
	}
	for _, c := range d.caseCharts(result.Latency, "round trip of one byte", p50, p90, p99) {
		bars("latency-"+c.slug(), c)
	}
	curves("flows", d.flowChart())
	curves("sizes", d.sizeChart())
	bars("peers-receive", d.peerChart(&barChart{
		title: "A batch of 64 packets of 1500 bytes, received by a NIC that drops them",
		axes:  receiveAxes,
		same:  true,
	}, receiveBars))
	bars("peers-tun", d.peerChart(&barChart{
		title: "Batches through a TUN with vnet headers, the kernel's work included",
		axes:  tunAxes,
	}, tunBars))
	return out
}

// caseCharts has a chart for each link and direction, and in it a group for each
// load.
func (d *data) caseCharts(kind, what string, metrics ...metric) (out []*barChart) {
	for _, l := range d.groups(kind, link) {
		c := &barChart{title: l.key + ": " + what}
		for _, m := range metrics {
			c.axes = append(c.axes, m.axis)
		}
		for _, s := range l.series {
			b := c.bar(load(&s.Case), mode(&s.Case), s.Side)
			for i, m := range metrics {
				b.spreads[i] = spread(s, m)
			}
		}
		out = append(out, c)
	}
	return out
}

// curveOf is a curve through the benchmarks that match, whose submatch is x.
type curveOf struct {
	label, side string
	bench, unit string
}

func (d *data) flowChart() *curveChart {
	return d.curveChart(&curveChart{
		title: "Cost of a 1500-byte TCP packet against the number of flows that arrive in turn",
		x:     "flows", y: "ns per packet",
	}, []curveOf{
		{"coalesce, checksums verified, payload copied", result.Ours, `coalesce\.Flows/tcp4/roundrobin/flows=(\d+)/sum=verified/batch=8192`, "ns/packet"},
		{"coalesce, checksums trusted, payload copied", result.Ours, `coalesce\.Flows/tcp4/roundrobin/flows=(\d+)/sum=trusted/batch=8192`, "ns/packet"},
		{"coalesce, the decision alone", result.Ours, `coalesce\.Decide/tcp4/roundrobin/flows=(\d+)`, "ns/packet"},
		{"endpoint, batch of 1024, verified", result.Ours, `bench/peers\.Receive/tcp4/roundrobin/flows=(\d+)/batch=1024/sum=verified/impl=ours`, "ns/packet"},
		{"PacketBuffer and gro.GRO, batch of 1024, verified", result.Peer, `bench/peers\.Receive/tcp4/roundrobin/flows=(\d+)/batch=1024/sum=verified/impl=gvisor`, "ns/packet"},
		{"PacketBuffer alone, batch of 1024", result.Peer, `bench/peers\.Receive/tcp4/roundrobin/flows=(\d+)/batch=1024/sum=trusted/impl=none`, "ns/packet"},
	})
}

func (d *data) sizeChart() *curveChart {
	return d.curveChart(&curveChart{
		title: "Cost of a packet against its size, one flow",
		x:     "bytes of the IP packet", y: "ns per packet",
	}, []curveOf{
		{"coalesce TCP, checksums verified", result.Ours, `coalesce\.Size/tcp4/size=(\d+)/sum=verified`, "ns/packet"},
		{"coalesce TCP, checksums trusted", result.Ours, `coalesce\.Size/tcp4/size=(\d+)/sum=trusted`, "ns/packet"},
		{"coalesce UDP, checksums verified", result.Ours, `coalesce\.Size/udp4/size=(\d+)/sum=verified`, "ns/packet"},
		{"segment TCP, checksums computed", result.Ours, `segment\.Size/tcp4/size=(\d+)`, "ns/segment"},
	})
}

func (d *data) curveChart(c *curveChart, of []curveOf) *curveChart {
	for _, o := range of {
		found, sub := d.find(o.bench)
		one := curve{label: o.label, side: o.side}
		for i, b := range found {
			x, err := strconv.ParseFloat(sub[i], 64)
			if s := b.spread(o.unit); err == nil && s != nil {
				one.points = append(one.points, point{x, *s})
			}
		}
		if len(one.points) > 0 {
			slices.SortFunc(one.points, func(a, b point) int { return int(a.x - b.x) })
			c.curves = append(c.curves, one)
		}
	}
	return c
}

// barOf is a bar in every group that it finds a benchmark for: the submatch is the
// group's title. There is a panel for each expression.
type barOf struct {
	label, side string
	benches     []string
	unit        string
}

var receiveAxes = []string{"ns per packet, checksums trusted", "ns per packet, checksums verified"}

var receiveBars = []barOf{
	{"PacketBuffer alone", result.Peer, received("none"), "ns/packet"},
	{"PacketBuffer and gro.GRO", result.Peer, received("gvisor"), "ns/packet"},
	{"endpoint", result.Ours, received("ours"), "ns/packet"},
}

func received(impl string) []string {
	const format = `bench/peers\.Receive/(tcp4/.*)/batch=64/sum=%s/impl=%s`
	return []string{fmt.Sprintf(format, "trusted", impl), fmt.Sprintf(format, "verified", impl)}
}

var tunAxes = []string{"ns per packet of the wire"}

var tunBars = []barOf{
	{"no GRO", result.Peer, []string{`bench/peers\.TUN(Write/tcp4/.*)/batch=128/impl=none`}, "ns/packet"},
	{"wireguard-go", result.Peer, []string{`bench/peers\.TUN(Write/tcp4/.*)/batch=128/impl=wireguard-go`}, "ns/packet"},
	{"coalesce", result.Ours, []string{`bench/peers\.TUN(Write/tcp4/.*)/batch=128/impl=ours`}, "ns/packet"},
	{"wireguard-go", result.Peer, []string{`bench/peers\.TUN(Read/tcp4/.*)/impl=wireguard-go`}, "ns/segment"},
	{"segment", result.Ours, []string{`bench/peers\.TUN(Read/tcp4/.*)/impl=ours`}, "ns/segment"},
}

func (d *data) peerChart(c *barChart, of []barOf) *barChart {
	for _, o := range of {
		for panel, expr := range o.benches {
			found, sub := d.find(expr)
			for i, b := range found {
				c.bar(sub[i], o.label, o.side).spreads[panel] = b.spread(o.unit)
			}
		}
	}
	return c
}

// bar returns the bar of that group and label, a new one if there is none.
func (b *barChart) bar(group, label, side string) *bar {
	at := slices.IndexFunc(b.groups, func(g barGroup) bool { return g.title == group })
	if at < 0 {
		at = len(b.groups)
		b.groups = append(b.groups, barGroup{title: group})
	}
	g := &b.groups[at]
	for i := range g.bars {
		if g.bars[i].label == label {
			return &g.bars[i]
		}
	}
	g.bars = append(g.bars, bar{label, side, make([]*result.Spread, len(b.axes))})
	return &g.bars[len(g.bars)-1]
}
