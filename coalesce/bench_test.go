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

// benchPackets returns n frames of m flows in turn, one behind the other in
// memory as a link's buffers are.
func benchPackets(v6 bool, n, m int) []coalesce.Packet {
	var arena []byte
	var ends []int
	protocol := header.IPv4ProtocolNumber
	if v6 {
		protocol = header.IPv6ProtocolNumber
	}
	for i := range n {
		seq := uint32(i / m * benchMSS)
		p := packettest.TCP{
			IP: packettest.IP{V6: v6, ID: uint16(i / m)}, SrcPort: uint16(1024 + i%m),
			Seq: seq, Window: 512, Options: packettest.Timestamp(1, 2), Payload: packettest.Stream(seq, benchMSS),
		}
		arena = append(arena, p.Bytes()...)
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
	for _, v6 := range []bool{false, true} {
		for _, flows := range []int{1, 8, 64, 256, 1024} {
			b.Run(fmt.Sprintf("%s/roundrobin/flows=%d", ipName(v6), flows), func(b *testing.B) {
				const n = 2048
				packets := benchPackets(v6, n, flows)
				for i := range packets {
					packets[i].Vouched = true
				}
				table := coalesce.New(nil)
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

func ipName(v6 bool) string {
	if v6 {
		return "tcp6"
	}
	return "tcp4"
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
	for _, v6 := range []bool{false, true} {
		for _, flows := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/bulk/flows=%d", ipName(v6), flows), func(b *testing.B) {
				const n = 64
				packets := benchPackets(v6, n, flows)
				table := coalesce.New(nil)
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
	for _, v6 := range []bool{false, true} {
		b.Run(ipName(v6)+"/bulk/flows=1", func(b *testing.B) {
			const n = 64
			packets := benchPackets(v6, n, 1)
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
	acks, udp := benchPackets(false, n, 1), benchPackets(false, n, 1)
	for i := range n {
		acks[i].Head = packettest.TCP{Ack: uint32(i), Options: packettest.Timestamp(1, 2)}.Bytes()
		udp[i].Head = packettest.UDP{Payload: packettest.Stream(0, 1200)}.Bytes()
	}
	for _, bb := range []struct {
		name    string
		packets []coalesce.Packet
	}{
		{"acks", acks}, {"udp", udp}, {"oneeach", benchPackets(false, n, n)},
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
