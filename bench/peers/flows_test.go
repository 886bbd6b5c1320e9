// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// flows collects the payload of packets by flow, however they are cut.
type flows map[uint16][]byte

func newFlows() flows { return flows{} }

// streams is the payload of frames.
func streams(t testing.TB, frames [][]byte) flows {
	f := newFlows()
	for _, frame := range frames {
		f.add(t, frame)
	}
	return f
}

func (f flows) reset() { clear(f) }

// add appends a TCP packet's payload, which it holds to be what the IP header says.
func (f flows) add(t testing.TB, pkt []byte) {
	t.Helper()
	var tcp header.TCP
	var proto tcpip.TransportProtocolNumber
	switch header.IPVersion(pkt) {
	case header.IPv4Version:
		ip := header.IPv4(pkt)
		if !ip.IsValid(len(pkt)) || int(ip.TotalLength()) != len(pkt) {
			t.Fatalf("a packet of %d bytes whose IPv4 header says %d", len(pkt), ip.TotalLength())
		}
		tcp, proto = header.TCP(ip.Payload()), ip.TransportProtocol()
	case header.IPv6Version:
		ip := header.IPv6(pkt)
		if !ip.IsValid(len(pkt)) || int(ip.PayloadLength())+header.IPv6MinimumSize != len(pkt) {
			t.Fatalf("a packet of %d bytes whose IPv6 header says %d", len(pkt), ip.PayloadLength())
		}
		tcp, proto = header.TCP(ip.Payload()), tcpip.TransportProtocolNumber(ip.NextHeader())
	}
	if proto != header.TCPProtocolNumber {
		t.Fatalf("a packet that is not TCP: % x", pkt[:min(len(pkt), 40)])
	}
	f[tcp.SourcePort()] = append(f[tcp.SourcePort()], tcp.Payload()...)
}

// bytes is how much there is.
func (f flows) bytes() (n int) {
	for _, b := range f {
		n += len(b)
	}
	return n
}

func (f flows) compare(t testing.TB, want flows) {
	t.Helper()
	if len(f) != len(want) {
		t.Errorf("%d flows, want %d", len(f), len(want))
	}
	for port, b := range want {
		if !bytes.Equal(f[port], b) {
			t.Errorf("flow from port %d: %d bytes, want %d, or not the same", port, len(f[port]), len(b))
		}
	}
}
