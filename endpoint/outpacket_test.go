// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// gso4 and gso6 are what netstack's TCP hands down.
func gso4(mss uint16) stack.GSO {
	return stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: mss, L3HdrLen: 20, MaxSize: 65535}
}

func gso6(mss uint16) stack.GSO {
	return stack.GSO{Type: stack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: mss, L3HdrLen: 40, MaxSize: 65535}
}

func gsoOf(t packettest.TCP, mss uint16) stack.GSO {
	if t.IP.V6 {
		return gso6(mss)
	}
	return gso4(mss)
}

// outPacket makes a packet as netstack hands it down: headers pushed in front of
// a payload in views of the sizes that cut says.
func outPacket(t packettest.TCP, cut cut, gso stack.GSO) *stack.PacketBuffer {
	f := t.Frame()
	n := headerLen(t)
	l4 := n - 20 - len(t.Options)
	net := f.NetOffset()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: n + 7, Payload: views(f.Data[n:], cut)})
	copy(pkt.TransportHeader().Push(n-l4), f.Data[l4:n])
	copy(pkt.NetworkHeader().Push(l4-net), f.Data[net:l4])
	if net > 0 {
		copy(pkt.LinkHeader().Push(net), f.Data[:net])
	}
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	if t.IP.V6 {
		pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	}
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.GSOOptions = gso
	pkt.Hash = 4711
	return pkt
}

// views spreads data over views of their own.
func views(data []byte, cut cut) buffer.Buffer {
	pkt := inbound(packettest.Frame{Data: data}, cut)
	defer pkt.DecRef()
	return pkt.ToBuffer()
}

// bridged makes a packet as a bridge hands it down: the whole frame as payload,
// not parsed.
func bridged(f packettest.Frame, cut cut) *stack.PacketBuffer {
	return stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14, Payload: views(f.Data, cut)})
}

// inSegments is t cut by the rules: what must be on the wire.
func inSegments(t packettest.TCP, size int) (out []packettest.Frame) {
	t.Partial = false
	for off := 0; ; off += size {
		s := t
		s.Seq += uint32(off)
		s.IP.ID += uint16(len(out))
		s.Payload = t.Payload[off:min(len(t.Payload), off+size)]
		if off > 0 {
			s.Flags &^= packettest.CWR
		}
		if off+size < len(t.Payload) {
			s.Flags &^= packettest.FIN | packettest.PSH
		}
		out = append(out, s.Frame())
		if off+size >= len(t.Payload) {
			return out
		}
	}
}

// write gives the Endpoint one list of packets, and then gives up its own
// references.
func (r *rig) write(pkts ...*stack.PacketBuffer) (int, tcpip.Error) {
	var list stack.PacketBufferList
	for _, pkt := range pkts {
		list.PushBack(pkt)
	}
	n, err := r.e.WritePackets(list)
	list.Reset()
	return n, err
}

// wants compares what the lower link was given with frames.
func (r *rig) wants(want []packettest.Frame) []sent {
	r.t.Helper()
	got := r.lower.take()
	for i := range min(len(got), len(want)) {
		g := packettest.Frame{Data: got[i].frame.Data, LinkHdrLen: want[i].LinkHdrLen, Protocol: want[i].Protocol}
		if d := packettest.Diff(g, want[i]); d != "" {
			r.t.Fatalf("packet %d: %s", i, d)
		}
	}
	if len(got) != len(want) {
		r.t.Fatalf("%d packets sent, want %d", len(got), len(want))
	}
	return got
}
