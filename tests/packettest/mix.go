// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"math/rand/v2"
	"net/netip"
)

// A mix is a second spelling of bursts, for judges who know nothing of carriers
// and bounds, as the kernel: Ethernet frames of up to MixFlows flows, of
// different kinds. The first byte is the number of flows, MixFlows times two
// bytes say what each is like, and then each packet has three as in ParseBurst,
// with three bits for the flow. All merging is allowed to UDP.
const (
	MixFlows   = 8
	mixHeader  = 1 + 2*MixFlows
	maxMix     = 64      // packets: what one NAPI poll takes
	maxMixSize = 300_000 // bytes
	minFrame   = 20      // shorter ones with a VLAN tag Linux drops
	maxFrame   = 65553   // an Ethernet header, a tag and the largest IP packet
)

// Bits of newBurstFlow's first byte.
const (
	flowEthernet = 2
	flowVLAN     = 4
	flowExt      = 16
	flowZeros    = 128
)

// ParseMix reads a mix.
func ParseMix(b []byte) Burst {
	out := Burst{UDP: true}
	if len(b) < mixHeader {
		return out
	}
	s, b := b[:mixHeader], b[mixHeader:]
	flows := make([]*burstFlow, 1+int(s[0])%MixFlows)
	for i := range flows {
		flows[i] = mixFlow(i, s[1+2*i], s[2+2*i])
	}
	for size := 0; len(b) >= 3 && len(out.Arrivals) < maxMix && size < maxMixSize; b = b[3:] {
		a := flows[int(b[0]&7)%len(flows)].next(b[0]&0x80, b[1], b[2])
		if len(a.Data) < minFrame {
			a.Data = append(a.Data, make([]byte, minFrame-len(a.Data))...)
		}
		a.Data = a.Data[:min(len(a.Data), maxFrame)]
		out.Arrivals = append(out.Arrivals, a)
		size += len(a.Data)
	}
	return out
}

// mixFlow is the flow that two bytes describe. It differs from the others of its
// kind in one thing that is part of a flow's identity.
func mixFlow(i int, kind, how byte) *burstFlow {
	f := newBurstFlow(kind|flowEthernet, how)
	f.identify(byte(i), how>>5)
	f.size = mixSize(how&15, (&sending{f.tcp, f.udp}).headerLen())
	if kind&flowZeros != 0 && f.udp {
		f.noSum(2 + i%3)
	}
	return f
}

// noSum chooses payload and source port so that the sum of n datagrams merged is
// zero, where a checksum field has to say 0xffff.
func (f *burstFlow) noSum(n int) {
	f.zeros = true
	u := (&sending{f.tcp, true}).datagram()
	u.Payload = make([]byte, min(n*f.size, 65000-u.IP.headerLen()))
	u.SrcPort = 1
	ip := u.Bytes()
	f.tcp.SrcPort = 1 + get16(ip[u.IP.headerLen()+6:])
}

// identify makes the flow another one than its neighbours.
func (f *burstFlow) identify(i, in byte) {
	t := &f.tcp
	switch in {
	case 0:
		t.SrcPort = 40000 + uint16(i)
	case 1:
		t.DstPort = 443 + uint16(i)
	case 2:
		t.IP.Src = mixAddr(t.IP.V6, 10+i)
	case 3:
		t.IP.Dst = mixAddr(t.IP.V6, 20+i)
	case 4:
		t.IP.Label = uint32(i) << 8
		if !t.IP.V6 {
			t.SrcPort = 256*uint16(i) + 1
		}
	case 5:
		t.Link.Src = [6]byte{2, 0, 0, 0, 1, i}
	case 6:
		t.Link.Dst = [6]byte{2, 0, 0, 0, 2, i}
	case 7:
		t.Link.VLAN = 16 + uint16(i)
	}
}

func mixAddr(v6 bool, last byte) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 15: last})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, last})
}

var mixSizes = [...]int{1448, 1, 2, 3, 16, 101, 536, 1447, 9000, 5, 100, 1400}

// mixSize is the payload of a flow's packets. The last four kinds make packets
// of which some merge into exactly the largest IP packet, or one byte more.
func mixSize(kind byte, hdrLen int) int {
	if int(kind) < len(mixSizes) {
		return mixSizes[kind]
	}
	room := 65535 + int(kind&1) - hdrLen
	k := 2 + 3*int(kind>>1&1)
	for room%k != 0 {
		k++
	}
	return room / k
}

// RandomMix spells a mix.
func RandomMix(r *rand.Rand) []byte {
	b := make([]byte, mixHeader)
	flows := 1 + r.IntN(MixFlows)
	b[0] = byte(flows - 1)
	for i := range flows {
		kind, how := byte(r.Uint32()), byte(r.Uint32())
		for _, rare := range []struct {
			bit  byte
			odds int
		}{{flowVLAN, 4}, {flowExt, 3}, {flowUDP, 3}, {flowZeros, 4}} {
			if r.IntN(rare.odds) != 0 {
				kind &^= rare.bit
			}
		}
		if how&15 >= 12 && r.IntN(3) != 0 {
			how &^= 8
		}
		if i > 0 && r.IntN(2) == 0 {
			kind, how = b[1], b[2]&0x1f|how&0xe0 // a neighbour of the first
		}
		b[1+2*i], b[2+2*i] = kind, how
	}
	stay, mutate := r.IntN(8), 1+r.IntN(16)
	flow := byte(0)
	for range 1 + r.IntN(maxMix) {
		if r.IntN(8) >= stay {
			flow = byte(r.IntN(flows))
		}
		p := [3]byte{flow, 0, byte(r.Uint32())}
		if r.IntN(mutate) == 0 {
			p[0] |= byte(r.IntN(2)) << 7
			p[1] = spelling(r.IntN(len(mutations)))
			if r.IntN(4) == 0 {
				b = append(b, p[:]...) // twice
			}
		}
		b = append(b, p[:]...)
	}
	return b
}

// SimplerMixes returns the mixes that are one step simpler than b: a packet less,
// or something of a packet or a flow not special.
func SimplerMixes(b []byte) (out [][]byte) {
	if len(b) < mixHeader {
		return nil
	}
	without := func(at, n int) {
		out = append(out, append(append([]byte{}, b[:at]...), b[at+n:]...))
	}
	for n := (len(b) - mixHeader) / 3 / 2 * 3; n >= 3; n = n / 3 / 2 * 3 {
		for at := mixHeader; at+n <= len(b); at += n {
			without(at, n)
		}
	}
	for at := range b {
		for bit := byte(0x80); bit > 0; bit >>= 1 {
			if b[at]&bit != 0 {
				c := append([]byte{}, b...)
				c[at] &^= bit
				out = append(out, c)
			}
		}
	}
	return out
}
