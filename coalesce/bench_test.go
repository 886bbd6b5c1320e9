// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const benchMSS = 1448

// benchKind is what the packets are.
type benchKind struct{ udp, v6 bool }

var (
	tcp4, tcp6 = benchKind{false, false}, benchKind{false, true}
	udp4, udp6 = benchKind{true, false}, benchKind{true, true}
)

func (k benchKind) String() string {
	return map[benchKind]string{tcp4: "tcp4", tcp6: "tcp6", udp4: "udp4", udp6: "udp6"}[k]
}

// packet is packet i of a flow.
func (k benchKind) packet(i int, port uint16) []byte {
	seq := uint32(i * benchMSS)
	p := packettest.TCP{
		IP: packettest.IP{V6: k.v6, ID: uint16(i)}, SrcPort: port,
		Seq: seq, Window: 512, Options: packettest.Timestamp(1, 2), Payload: packettest.Stream(seq, benchMSS),
	}
	if k.udp {
		return asUDP(p).Bytes()
	}
	return p.Bytes()
}

// benchPackets returns n frames of m flows in turn, one behind the other in
// memory as a link's buffers are.
func benchPackets(k benchKind, n, m int) []coalesce.Packet {
	var arena []byte
	var ends []int
	protocol := header.IPv4ProtocolNumber
	if k.v6 {
		protocol = header.IPv6ProtocolNumber
	}
	for i := range n {
		arena = append(arena, k.packet(i/m, uint16(1024+i%m))...)
		ends = append(ends, len(arena))
	}
	var out []coalesce.Packet
	start := 0
	for i, end := range ends {
		out = append(out, coalesce.Packet{Head: arena[start:end:end], Protocol: protocol, ID: i})
		start = end
	}
	return out
}

// BenchmarkDecide is the decision alone: the link vouches for checksums and
// nobody copies payload.
func BenchmarkDecide(b *testing.B) {
	for _, kind := range []benchKind{tcp4, tcp6, udp4, udp6} {
		for _, flows := range []int{1, 8, 64, 256, 1024} {
			b.Run(fmt.Sprintf("%v/roundrobin/flows=%d", kind, flows), func(b *testing.B) {
				const n = 2048
				packets := benchPackets(kind, n, flows)
				for i := range packets {
					packets[i].Vouched = true
				}
				table := coalesce.New(&coalesce.Config{UDP: kind.udp})
				b.SetBytes(n * benchMSS)
				b.ReportAllocs()
				for b.Loop() {
					if left := addAndPop(table, packets); left < flows || left > flows+n/45 {
						b.Fatalf("%d packets left", left)
					}
				}
				reportPerPacket(b, n)
			})
		}
	}
}

func addAndPop(table *coalesce.Table, packets []coalesce.Packet) (left int) {
	for i := range packets {
		table.Add(&packets[i])
	}
	for table.Pop() != nil {
		left++
	}
	return left
}

func reportPerPacket(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/packet")
}

// BenchmarkCoalesce is all that an endpoint does for a batch: checksums verified,
// payload copied into one view, headers written into another.
func BenchmarkCoalesce(b *testing.B) {
	for _, kind := range []benchKind{tcp4, tcp6, udp4, udp6} {
		for _, flows := range []int{1, 8} {
			b.Run(fmt.Sprintf("%v/bulk/flows=%d", kind, flows), func(b *testing.B) {
				const n = 64
				packets := benchPackets(kind, n, flows)
				table := coalesce.New(&coalesce.Config{UDP: kind.udp})
				b.SetBytes(n * benchMSS)
				b.ReportAllocs()
				for b.Loop() {
					for i := range packets {
						table.Add(&packets[i])
					}
					if left := deliver(table); left > 2*flows {
						b.Fatalf("%d packets left", left)
					}
				}
				reportPerPacket(b, n)
			})
		}
	}
}

// deliver makes of each run the two views that a merged packet consists of, and
// drops them.
func deliver(table *coalesce.Table) (left int) {
	for r := table.Pop(); r != nil; r = table.Pop() {
		left++
		if r.Count == 1 {
			continue
		}
		head, payload := buffer.NewViewSize(r.HeaderLen), buffer.NewViewSize(r.PayloadLen)
		r.PutHeader(head.AsSlice())
		r.CopyPayload(payload.AsSlice())
		head.Release()
		payload.Release()
	}
	return left
}

// dropper counts and drops.
type dropper struct{ packets int }

func (d *dropper) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {
	d.packets++
}

func (*dropper) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// BenchmarkGVisorGRO is gVisor's own GRO on the frames of BenchmarkCoalesce: a
// PacketBuffer for each, checksums verified.
func BenchmarkGVisorGRO(b *testing.B) {
	for _, kind := range []benchKind{tcp4, tcp6} {
		b.Run(kind.String()+"/bulk/flows=1", func(b *testing.B) {
			const n = 64
			packets := benchPackets(kind, n, 1)
			d := &dropper{}
			var g gro.GRO
			g.Dispatcher = d
			g.Init(true)
			b.SetBytes(n * benchMSS)
			b.ReportAllocs()
			for b.Loop() {
				d.packets = 0
				for i := range packets {
					enqueue(&g, &packets[i])
				}
				g.Flush()
				if d.packets > 2 {
					b.Fatalf("%d packets left", d.packets)
				}
			}
			reportPerPacket(b, n)
		})
	}
}

// enqueue hands a packet to gVisor's GRO as link/fdbased does.
func enqueue(g *gro.GRO, p *coalesce.Packet) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		Payload: buffer.MakeWithView(buffer.NewViewWithData(p.Head)),
	})
	pkt.NetworkProtocolNumber = p.Protocol
	g.Enqueue(pkt)
	pkt.DecRef()
}

// BenchmarkPassing is traffic that cannot merge: what it costs to find out.
func BenchmarkPassing(b *testing.B) {
	const n = 64
	acks, udp := benchPackets(tcp4, n, 1), benchPackets(udp4, n, 1)
	for i := range n {
		acks[i].Head = packettest.TCP{Ack: uint32(i), Options: packettest.Timestamp(1, 2)}.Bytes()
		udp[i].Head = packettest.UDP{Payload: packettest.Stream(0, 1200)}.Bytes()
	}
	for _, bb := range []struct {
		name    string
		packets []coalesce.Packet
	}{
		{"acks", acks}, {"udp", udp}, {"oneeach", benchPackets(tcp4, n, n)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			table := coalesce.New(nil)
			b.ReportAllocs()
			for b.Loop() {
				if left := addAndPop(table, bb.packets); left != n {
					b.Fatalf("%d packets left", left)
				}
			}
			reportPerPacket(b, n)
		})
	}
}
