// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"fmt"
	"slices"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

// fifo is how many packets qdisc/fifo may hold.
const fifo = 1000

// A scenario is a link, and the modes that run over it.
type scenario struct {
	name, link string
	proxy      bool
	// ways are directions, each with its modes and the most telling of them, which
	// run away from the base point too.
	ways []way
	// latency has the modes whose round trips are measured.
	latency []links.Mode
}

type way struct {
	direction string
	modes     []links.Mode
	telling   []string // names of verified modes, and of the peers' trusted ones
}

var (
	kernel       = links.Mode{Name: "kernel", Kernel: true}
	kernelSuper  = links.Mode{Name: "kernel, all offloads", Kernel: true, HostGSO: true}
	fdbased      = links.Mode{Name: "fdbased"}
	fdbasedGRO   = links.Mode{Name: "fdbased, gVisor GRO, large buffers", GRO: true, Trust: true, Large: true}
	oursFdbased  = links.Mode{Name: "netstack-offload, fdbased", Offload: true}
	oursRaw      = links.Mode{Name: "netstack-offload, rawlink", Offload: true, Raw: true}
	oursVnet     = links.Mode{Name: "netstack-offload, rawlink, vnet header", Offload: true, Raw: true, Vnet: true}
	oursRawFifo  = links.Mode{Name: "netstack-offload, rawlink, fifo", Offload: true, Raw: true, Queue: fifo}
	oursVnetFifo = links.Mode{Name: "netstack-offload, rawlink, vnet header, fifo", Offload: true, Raw: true, Vnet: true, Queue: fifo}
)

func trusted(m links.Mode) links.Mode {
	m.Trust = true
	return m
}

// super returns the modes that put super-packets on the wire, or the others.
func super(is bool, modes []links.Mode) []links.Mode {
	return slices.DeleteFunc(slices.Clone(modes), func(m links.Mode) bool { return m.Super() != is })
}

func scenarios() []scenario {
	tun, veth := links.Links[links.TUN], links.Links[links.Veth]
	return []scenario{
		{
			name: "tun", link: links.TUN,
			ways: []way{
				{result.Receive, tun.Receiving, []string{fdbasedGRO.Name, oursRaw.Name, oursVnet.Name}},
				{result.Send, tun.Sending, []string{"fdbased, fifo", oursRawFifo.Name, oursVnet.Name}},
			},
			latency: []links.Mode{fdbased, fdbasedGRO, oursFdbased, oursRaw, oursVnet},
		},
		{
			name: "veth", link: links.Veth,
			ways: []way{
				{result.Receive, append(super(false, veth.Receiving), kernel), []string{fdbasedGRO.Name, oursRaw.Name}},
				{result.Send, append(super(false, veth.Sending), kernel), []string{"fdbased, gVisor GSO, fifo", oursRawFifo.Name}},
			},
			latency: []links.Mode{fdbased, fdbasedGRO, oursFdbased, oursRaw, kernel},
		},
		{
			name: "veth vnet", link: links.Veth,
			ways: []way{
				// fdbased throws the header away that says which checksums are still to be
				// made: it has to trust them.
				{result.Receive, []links.Mode{
					{Name: "fdbased, host GSO", HostGSO: true, Trust: true},
					{Name: "fdbased, host GSO, large buffers", HostGSO: true, Trust: true, Large: true},
					oursVnet, trusted(oursVnet), kernelSuper,
				}, []string{"fdbased, host GSO, large buffers", oursVnet.Name}},
				{result.Send, append(super(true, veth.Sending), kernelSuper), []string{"fdbased, host GSO, fifo", oursVnetFifo.Name}},
			},
		},
		{
			name: "memory",
			ways: []way{{result.Both, slices.Insert(slices.Clone(links.MemoryModes), 2, links.Mode{Name: "channel", Trust: true}),
				[]string{"channel, gVisor GSO", "netstack-offload, memlink"}}},
			latency: []links.Mode{{Name: "channel"}, {Name: "netstack-offload, memlink", Offload: true}},
		},
		{
			name: "proxy", link: links.Veth, proxy: true,
			ways: []way{{result.Both, []links.Mode{
				{Name: "fdbased, fifo", Trust: true, Queue: fifo}, // as tcp_proxy has it
				{Name: "fdbased, gVisor GRO and GSO, large buffers, fifo", GRO: true, GSO: true, Large: true, Trust: true, Queue: fifo},
				oursRawFifo, trusted(oursRawFifo), kernel,
			}, nil}},
		},
		{
			name: "proxy vnet", link: links.Veth, proxy: true,
			ways: []way{{result.Both, []links.Mode{
				{Name: "fdbased, host GSO, large buffers, fifo", HostGSO: true, Large: true, Trust: true, Queue: fifo}, // tcp_proxy -gso
				oursVnetFifo, kernelSuper,
			}, nil}},
		},
	}
}

// A point is what is varied.
type point struct {
	flows, mtu int
	ipv6       bool
}

var (
	base       = point{flows: 1, mtu: 1500}
	variations = []point{{8, 1500, false}, {64, 1500, false}, {1, 1500, true}, {1, 9000, false}}
)

// A cell is a case that can be run.
type cell struct {
	result.Case
	run links.Run
}

// matrix has all cases, those that may be compared side by side.
func matrix() []cell {
	var cells []cell
	for _, s := range scenarios() {
		for _, w := range s.ways {
			for _, m := range w.modes {
				cells = append(cells, s.cell(m, w.direction, base))
			}
		}
		for _, m := range s.latency {
			c := s.cell(m, result.Both, base)
			c.Kind, c.run.Kind = result.Latency, result.Latency
			cells = append(cells, c)
		}
		for _, p := range variations {
			for _, w := range s.ways {
				for _, m := range w.modes {
					if slices.Contains(w.telling, m.Name) && (m.Side() != result.Ours || !m.Trust) {
						cells = append(cells, s.cell(m, w.direction, p))
					}
				}
			}
		}
	}
	return cells
}

func (s *scenario) cell(m links.Mode, direction string, p point) cell {
	c := cell{
		Case: result.Case{
			Scenario: s.name, Kind: result.Stream, Direction: direction,
			Mode: m.Name, Side: m.Side(), Checksums: m.Checksums(),
			Flows: p.flows, IPv6: p.ipv6, MTU: p.mtu,
		},
		run: links.Run{
			Link: s.link, Proxy: s.proxy, Mode: m,
			Kind: result.Stream, Direction: direction, MTU: p.mtu, IPv6: p.ipv6,
		},
	}
	c.run.Transfer.Flows = p.flows
	if c.run.Steady = !s.proxy; p.flows > 8 {
		c.run.Buffer = 1 << 20 // netstack's default; 64 times more would be mostly drained
	}
	return c
}

// group names what a case may be compared with.
func group(c *result.Case) string {
	what, version, flows := c.Direction, "IPv4", "1 flow"
	switch {
	case c.Kind == result.Latency:
		what = "latency"
	case c.Direction == result.Both:
		what = "stream"
	}
	if c.IPv6 {
		version = "IPv6"
	}
	if c.Flows > 1 {
		flows = fmt.Sprintf("%d flows", c.Flows)
	}
	return fmt.Sprintf("%s, %s, %s, %s, MTU %d", c.Scenario, what, flows, version, c.MTU)
}

// name is what a case is called in messages, and what -run matches.
func name(c *result.Case) string {
	return fmt.Sprintf("%s: %s, checksums %s", group(c), c.Mode, c.Checksums)
}
