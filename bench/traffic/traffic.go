// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package traffic makes the batches of packets that benchmarks measure with, so
// that every benchmark, of ours and of peers, means the same by a name.
//
// A name is what the packets are, how they arrive, and of how many flows:
// tcp4/roundrobin/flows=8. Packets are bare IP of 1500 bytes unless Size says
// otherwise, TCP with the timestamps that all stacks send where there is room for
// them, and lie one behind the other in memory, as in a link's buffers.
package traffic

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Kind is what the packets are.
type Kind struct{ UDP, V6 bool }

// The kinds.
var (
	TCP4, TCP6 = Kind{}, Kind{V6: true}
	UDP4, UDP6 = Kind{UDP: true}, Kind{UDP: true, V6: true}
)

// Kinds are all kinds.
var Kinds = []Kind{TCP4, TCP6, UDP4, UDP6}

// String is the kind's name, such as tcp4.
func (k Kind) String() string {
	name := "tcp"
	if k.UDP {
		name = "udp"
	}
	if k.V6 {
		return name + "6"
	}
	return name + "4"
}

// Protocol is the network protocol.
func (k Kind) Protocol() tcpip.NetworkProtocolNumber {
	if k.V6 {
		return header.IPv6ProtocolNumber
	}
	return header.IPv4ProtocolNumber
}

// DefaultSize is the size of an IP packet where a Batch does not say.
const DefaultSize = 1500

// Batch describes packets that arrive together.
type Batch struct {
	Kind    Kind
	Pattern Pattern
	// Flows is how many flows the packets are of, and a divisor of Packets. Of
	// Mice it is Packets, whatever it says.
	Flows int
	// Packets is how many there are.
	Packets int
	// Size is that of each IP packet in bytes. 0 means DefaultSize.
	Size int
}

// String is the batch's name without its number of packets and their size.
func (b *Batch) String() string {
	return fmt.Sprintf("%v/%s/flows=%d", b.Kind, b.Pattern, b.flows())
}

func (b *Batch) flows() int {
	if b.Pattern == Mice {
		return b.Packets
	}
	return b.Flows
}

func (b *Batch) size() int {
	if b.Size == 0 {
		return DefaultSize
	}
	return b.Size
}

// options are those of TCP: timestamps, where they leave room for payload.
func (b *Batch) options() []byte {
	o := packettest.Timestamp(1, 2)
	if b.Kind.UDP || b.size() <= b.ipLen()+header.TCPMinimumSize+len(o) {
		return nil
	}
	return o
}

func (b *Batch) ipLen() int {
	if b.Kind.V6 {
		return header.IPv6MinimumSize
	}
	return header.IPv4MinimumSize
}

// Payload is what each packet carries behind the TCP or UDP header, in bytes.
func (b *Batch) Payload() int {
	if b.Kind.UDP {
		return b.size() - b.ipLen() - header.UDPMinimumSize
	}
	return b.size() - b.ipLen() - header.TCPMinimumSize - len(b.options())
}

// Bytes is the payload of the whole batch, for testing.B's SetBytes.
func (b *Batch) Bytes() int64 { return int64(b.Packets * b.Payload()) }

// Frames makes the packets.
func (b *Batch) Frames() [][]byte {
	arena := make([]byte, 0, b.Packets*b.size())
	out := make([][]byte, 0, b.Packets)
	for i := range b.Packets {
		start := len(arena)
		arena = append(arena, b.packet(b.place(i))...)
		out = append(out, arena[start:len(arena):len(arena)])
	}
	return out
}

// packet is packet number n of a flow.
func (b *Batch) packet(flow, n int) []byte {
	seq := uint32(n * b.Payload())
	ip := packettest.IP{V6: b.Kind.V6, ID: uint16(n)}
	payload := packettest.Stream(seq, b.Payload())
	port := uint16(firstPort + flow)
	if b.Kind.UDP {
		return packettest.UDP{IP: ip, SrcPort: port, Payload: payload}.Bytes()
	}
	return packettest.TCP{
		IP: ip, SrcPort: port, Seq: seq, Window: 512, Options: b.options(), Payload: payload,
	}.Bytes()
}

const firstPort = 1024
