// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// sink is a dispatcher that remembers what it was given.
type sink struct {
	mu   sync.Mutex
	got  []packettest.Frame
	hook func()
}

func (s *sink) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	var all []byte
	for _, b := range pkt.AsSlices() {
		all = append(all, b...)
	}
	s.mu.Lock()
	s.got = append(s.got, packettest.Frame{Data: all, Protocol: uint16(protocol)})
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (*sink) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

func (s *sink) take() []packettest.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.got
	s.got = nil
	return g
}

// newLink returns a link that is attached to nothing that does anything.
func newLink(t *testing.T, cfg *memlink.Config) (*memlink.Link, *sink) {
	t.Helper()
	leak.Check(t)
	l, s := memlink.New(cfg), new(sink)
	l.Attach(s)
	t.Cleanup(l.Close)
	return l, s
}

// packet makes what the stack sends. mss 0 means without GSO options.
func packet(t packettest.TCP, mss uint16) *stack.PacketBuffer {
	t.Partial = mss > 0
	pkt := raw(t.Bytes())
	if mss > 0 {
		pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: mss, L3HdrLen: 20, MaxSize: 65535}
		if t.IP.V6 {
			pkt.GSOOptions.Type, pkt.GSOOptions.L3HdrLen = stack.GSOTCPv6, 40
		}
	}
	return pkt
}

func raw(data []byte) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(data)})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	return pkt
}

// send gives the link one list of packets and gives up its references.
func send(l *memlink.Link, pkts ...*stack.PacketBuffer) (int, tcpip.Error) {
	var list stack.PacketBufferList
	for _, pkt := range pkts {
		list.PushBack(pkt)
	}
	defer list.Reset()
	return l.WritePackets(list)
}

// read reads once with n buffers of size bytes.
func read(l *memlink.Link, n, size int) ([][]byte, error) {
	bufs, sizes := make([][]byte, n), make([]int, n)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	n, err := l.Read(bufs, sizes, 0)
	var out [][]byte
	for i := range n {
		out = append(out, bufs[i][:sizes[i]])
	}
	return out, err
}

func datagram(payload string) packettest.UDP { return packettest.UDP{Payload: []byte(payload)} }

func same(t *testing.T, got [][]byte, want ...[]byte) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if d := packettest.DiffIP(got[i], want[i]); d != "" {
			t.Fatalf("packet %d: %s", i, d)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
}

// segments is t cut as it must be on the wire.
func segments(t packettest.TCP, size int) (out [][]byte) {
	for off := 0; off < len(t.Payload) || off == 0; off += size {
		s := t
		s.Seq += uint32(off)
		s.IP.ID += uint16(len(out))
		s.Payload = t.Payload[off:min(len(t.Payload), off+size)]
		if off+size < len(t.Payload) {
			s.Flags &^= packettest.PSH
		}
		out = append(out, s.Bytes())
	}
	return out
}
