// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// Modes, as the comparison names them. Where there are several of a kind, the fastest
// counts.
var (
	rawlinkPlain = []string{"netstack-offload, rawlink", "netstack-offload, rawlink, fifo"}
	rawlinkVnet  = []string{"netstack-offload, rawlink, vnet header", "netstack-offload, rawlink, vnet header, fifo"}
	wrapped      = []string{"netstack-offload, fdbased"}
	memlink      = []string{"netstack-offload, memlink"}

	plain       = []string{"fdbased"}
	gvisorGRO   = []string{"fdbased, gVisor GRO"}
	gvisorLarge = []string{"fdbased, gVisor GRO, large buffers"}
	gvisorGSO   = []string{"fdbased, gVisor GSO, fifo"}
	hostGSO     = []string{"fdbased, host GSO, fifo"}
	fdbasedFifo = []string{"fdbased, fifo"}
	channel     = []string{"channel"}

	kernelFrames = []string{"kernel"}
	kernelSuper  = []string{"kernel, all offloads"}
)

func ours(scenario, direction string, modes []string) source {
	return source{scenario: scenario, direction: direction, side: result.Ours, modes: modes}
}

func peer(scenario, direction string, modes []string) source {
	return source{scenario: scenario, direction: direction, side: result.Peer, modes: modes}
}

func (q source) with(checksums string) source { q.checksums = checksums; return q }
func (q source) at(flows int) source          { q.flows = flows; return q }
func (q source) roundTrip() source            { q.kind = result.Latency; return q }
func bench(name string) source                { return source{bench: name} }

// asks are the ratios that the project's issues name, of one flow, MTU 1500 and IPv4
// unless said.
var asks = slices.Concat(
	receiving(ask{
		name: "receive, AF_PACKET, 1500-byte frames", wants: []want{rateOf(2.7), cpuOf(0.37)}, ceiling: kernelFrames,
		of: ours("veth", result.Receive, rawlinkPlain), to: peer("veth", result.Receive, gvisorGRO),
	}),
	receiving(ask{
		name: "receive, TUN", wants: []want{rateOf(3.5), cpuOf(0.28)}, ceiling: kernelFrames,
		of: ours("tun", result.Receive, rawlinkPlain), to: peer("tun", result.Receive, gvisorGRO),
	}),
	receiving(ask{
		name: "receive, TUN with vnet header", wants: []want{rateOf(10), cpuOf(0.1)}, ceiling: kernelSuper,
		of: ours("tun", result.Receive, rawlinkVnet), to: peer("tun", result.Receive, gvisorGRO),
	}),
	[]ask{
		{
			name: "send, TUN with vnet header / fdbased, fifo", main: "send, TUN with vnet header", ceiling: kernelSuper,
			of: ours("tun", result.Send, rawlinkVnet), to: peer("tun", result.Send, fdbasedFifo),
			wants: []want{rateOf(9), cpuOf(0.11)},
		},
		{
			name: "send, AF_PACKET with vnet header / fdbased, host GSO, fifo", main: "send, AF_PACKET with vnet header", ceiling: kernelSuper,
			of: ours("veth vnet", result.Send, rawlinkVnet), to: peer("veth vnet", result.Send, hostGSO),
			wants: []want{rateOf(1), cpuOf(1)},
		},
		{
			name: "send, AF_PACKET, 1500-byte frames / fdbased, gVisor GSO, fifo", main: "send, AF_PACKET, 1500-byte frames", ceiling: kernelFrames,
			of: ours("veth", result.Send, rawlinkPlain), to: peer("veth", result.Send, gvisorGSO),
			wants: []want{rateOf(1.3), cpuOf(0.75)},
		},
	},
	eightFlows("receive, AF_PACKET, 1500-byte frames", ours("veth", result.Receive, rawlinkPlain[:1]), peer("veth", result.Receive, gvisorLarge)),
	eightFlows("receive, TUN", ours("tun", result.Receive, rawlinkPlain[:1]), peer("tun", result.Receive, gvisorLarge)),
	eightFlows("receive, TUN with vnet header", ours("tun", result.Receive, rawlinkVnet[:1]), peer("tun", result.Receive, gvisorLarge)),
	eightFlows("send, TUN with vnet header", ours("tun", result.Send, rawlinkVnet[:1]), peer("tun", result.Send, fdbasedFifo)),
	eightFlows("send, AF_PACKET with vnet header", ours("veth vnet", result.Send, rawlinkVnet[1:]), peer("veth vnet", result.Send, hostGSO)),
	eightFlows("send, AF_PACKET, 1500-byte frames", ours("veth", result.Send, rawlinkPlain[1:]), peer("veth", result.Send, gvisorGSO)),
	[]ask{
		{
			name: "round trip, AF_PACKET: rawlink / fdbased", wants: []want{roundTripOf(1)},
			of: ours("veth", "", rawlinkPlain).roundTrip(), to: peer("veth", "", plain).roundTrip(),
		},
		{
			name: "round trip, TUN: rawlink / fdbased", wants: []want{roundTripOf(1)},
			of: ours("tun", "", rawlinkPlain).roundTrip(), to: peer("tun", "", plain).roundTrip(),
		},
		{
			name: "receive, AF_PACKET: fdbased wrapped, one line / fdbased, gVisor GRO", wants: []want{rateOf(1), cpuOf(1)},
			of: ours("veth", result.Receive, wrapped), to: peer("veth", result.Receive, gvisorGRO),
		},
		{
			name: "two stacks in memory, checksums verified: memlink / channel", wants: []want{rateOf(6.5), cpuOf(1 / 7.5)},
			of: ours("memory", "", memlink).with("verified"), to: peer("memory", "", channel).with("verified"),
		},
		{
			name: "round trip in memory: memlink / channel", wants: []want{roundTripOf(1.05)},
			of: ours("memory", "", memlink).with("verified").roundTrip(), to: peer("memory", "", channel).with("verified").roundTrip(),
		},
		{
			name: "coalescing a batch of 64, verified, into one buffer / PacketBuffer and gro.GRO", wants: []want{costOf(0.35)},
			of: bench("coalesce.Coalesce/tcp4/bulk/flows=1/sum=verified/batch=64"), to: bench("coalesce.GVisorGRO/tcp4/bulk/flows=1"),
		},
		{
			name: "deciding about 2048 packets of 1024 flows / of one flow", wants: []want{costOf(2)},
			of: bench("coalesce.Decide/tcp4/roundrobin/flows=1024"), to: bench("coalesce.Decide/tcp4/roundrobin/flows=1"),
		},
		noHarm("UDP", "udp"),
		noHarm("ACKs", "acks"),
		noHarm("1000 flows of a packet", "mice"),
		tunnel("WireGuard tunnel, one flow", "tunnel/flows=1", rateOf(3.3), cpuOf(0.3)),
		tunnel("WireGuard tunnel, 8 flows", "tunnel/flows=8", rateOf(2.7)),
		tunnel("WireGuard's device alone", "device/flows=1", rateOf(5)),
		router("IPv4", "tcp4"),
		router("IPv6", "tcp6"),
	},
)

// noHarm asks that traffic which cannot merge costs no more.
func noHarm(name, traffic string) ask {
	const sides = "bench/compare.Compare/"
	return ask{
		name: "what cannot merge, " + name + ": endpoint over memlink / memlink", wants: []want{cpuTimeOf(1.05)},
		of: bench(sides + traffic + "/endpoint-over-memlink"), to: bench(sides + traffic + "/memlink"),
	}
}

// tunnel asks of two netstacks joined by WireGuard.
func tunnel(name, joined string, wants ...want) ask {
	const sides = "tests/wireguard/compare.Compare/"
	return ask{
		name: name + ": wgnet / wireguard-go's tun/netstack", wants: wants,
		of: bench(sides + joined + "/wgnet"), to: bench(sides + joined + "/wireguard-go-tun/netstack"),
	}
}

// router asks that a router over plain links keeps its rate.
func router(name, family string) ask {
	sides := "tests/forwarding.Router/" + family + "/link=veth/impl="
	return ask{
		name: "router, AF_PACKET, " + name + ": endpoint over rawlink / rawlink", wants: []want{rateOf(0.95)},
		of: bench(sides + "ours-rawlink"), to: bench(sides + "rawlink"),
	}
}

// receiving asks thrice: checksums trusted on both sides, as gVisor's GRO needs them;
// the same against the fastest fdbased, with large buffers, which the main picture
// shows; and with ours verified.
func receiving(a ask) []ask {
	gro, large, verified := a, a, a
	gro.name += " / fdbased, gVisor GRO, both trusted"
	gro.of.checksums = "trusted"
	large.main = a.name
	large.name += " / the same with large buffers, both trusted"
	large.of.checksums, large.to.modes = "trusted", gvisorLarge
	verified.name += ", verified / fdbased, gVisor GRO, trusted"
	verified.of.checksums = "verified"
	return []ask{gro, large, verified}
}

// eightFlows asks that they are not much slower than one, and no more is sent again than
// with the peer.
func eightFlows(name string, of, peer source) []ask {
	of.checksums = "verified"
	return []ask{
		{name: name + ": 8 flows / one flow", of: of.at(8), to: of, wants: []want{rateOf(0.7)}},
		{name: name + ": 8 flows / the peer's", of: of.at(8), to: peer.at(8), wants: []want{resentOf(1)}},
	}
}
