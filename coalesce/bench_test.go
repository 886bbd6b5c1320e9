// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// benchBatch is the batch of benchmarks that are not about its size: what Linux's
// NAPI and rawlink take at once.
const benchBatch = 64

// sums are the two ways to treat checksums: verified by the Table, or trusted.
var sums = []struct {
	name    string
	vouched bool
}{{"verified", false}, {"trusted", true}}

// packetsOf is the batch as a Table takes it.
func packetsOf(tr *traffic.Batch, vouched bool) []coalesce.Packet {
	out := make([]coalesce.Packet, 0, tr.Packets)
	for i, frame := range tr.Frames() {
		out = append(out, coalesce.Packet{Head: frame, Protocol: tr.Kind.Protocol(), ID: i, Vouched: vouched})
	}
	return out
}

// BenchmarkDecide is the decision alone, from 1 to 4,096 flows: checksums are
// trusted and nobody copies payload. The batch has 2,048 packets, or two of each
// flow if that is more.
func BenchmarkDecide(b *testing.B) {
	for _, kind := range traffic.Kinds {
		for _, flows := range []int{1, 4, 16, 64, 256, 1024, 4096} {
			tr := &traffic.Batch{Kind: kind, Pattern: traffic.RoundRobin, Flows: flows, Packets: max(2048, 2*flows)}
			b.Run(tr.String(), func(b *testing.B) {
				packets := packetsOf(tr, true)
				table := coalesce.New(&coalesce.Config{UDP: kind.UDP, MaxPackets: tr.Packets})
				want := tr.Leave()
				b.SetBytes(tr.Bytes())
				b.ReportAllocs()
				for b.Loop() {
					if left := addAndPop(table, packets); left != want {
						b.Fatalf("%d packets left, want %d", left, want)
					}
				}
				reportPerPacket(b, tr.Packets)
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

// BenchmarkCoalesce is all that an endpoint does with the bytes of a batch:
// checksums verified or trusted, payload copied into one view, headers written
// into another.
func BenchmarkCoalesce(b *testing.B) {
	for _, kind := range traffic.Kinds {
		for _, shape := range traffic.Shapes {
			benchCoalesce(b, &traffic.Batch{Kind: kind, Pattern: shape.Pattern, Flows: shape.Flows, Packets: benchBatch})
		}
	}
}

// BenchmarkCoalesceBatch is BenchmarkCoalesce by size of the batch: what one long
// one gains over many short ones.
func BenchmarkCoalesceBatch(b *testing.B) {
	for _, kind := range []traffic.Kind{traffic.TCP4, traffic.TCP6} {
		for _, n := range []int{1, 8, 32, 128, 512, 2048} {
			benchCoalesce(b, &traffic.Batch{Kind: kind, Pattern: traffic.Bulk, Flows: 1, Packets: n})
		}
	}
}

func benchCoalesce(b *testing.B, tr *traffic.Batch) {
	for _, sum := range sums {
		b.Run(fmt.Sprintf("%v/sum=%s/batch=%d", tr, sum.name, tr.Packets), func(b *testing.B) {
			coalesceBatch(b, tr, sum.vouched)
		})
	}
}

// coalesceBatch measures one batch, again and again.
func coalesceBatch(b *testing.B, tr *traffic.Batch, vouched bool) {
	packets := packetsOf(tr, vouched)
	table := coalesce.New(&coalesce.Config{UDP: tr.Kind.UDP, MaxPackets: tr.Packets})
	want := tr.Leave()
	b.SetBytes(tr.Bytes())
	b.ReportAllocs()
	for b.Loop() {
		for i := range packets {
			table.Add(&packets[i])
		}
		if left := deliver(table, packets); left != want {
			b.Fatalf("%d packets left, want %d", left, want)
		}
	}
	reportPerPacket(b, tr.Packets)
	b.ReportMetric(float64(tr.Packets)/float64(want), "packets/run")
}

// deliver makes of each run the two views that a merged packet consists of, of
// a single packet one, and drops them.
func deliver(table *coalesce.Table, packets []coalesce.Packet) (left int) {
	for r := table.Pop(); r != nil; r = table.Pop() {
		left++
		if r.Count == 1 {
			buffer.NewViewWithData(packets[r.ID].Head).Release()
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

// BenchmarkGVisorGRO is gVisor's own GRO on frames of BenchmarkCoalesce: a
// PacketBuffer for each, checksums verified. Module bench/peers has more of it.
func BenchmarkGVisorGRO(b *testing.B) {
	for _, kind := range []traffic.Kind{traffic.TCP4, traffic.TCP6} {
		tr := &traffic.Batch{Kind: kind, Pattern: traffic.Bulk, Flows: 1, Packets: benchBatch}
		b.Run(tr.String(), func(b *testing.B) {
			packets := packetsOf(tr, false)
			d := &dropper{}
			var g gro.GRO
			g.Dispatcher = d
			g.Init(true)
			b.SetBytes(tr.Bytes())
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
			reportPerPacket(b, tr.Packets)
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
	const n = benchBatch
	mice := packetsOf(&traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.Mice, Packets: n}, false)
	udp := packetsOf(&traffic.Batch{Kind: traffic.UDP4, Pattern: traffic.Bulk, Flows: 1, Packets: n, Size: 1228}, false)
	acks := packetsOf(&traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.Bulk, Flows: 1, Packets: n, Size: 100}, false)
	for i := range acks {
		acks[i].Head = packettest.TCP{Ack: uint32(i), Options: packettest.Timestamp(1, 2)}.Bytes()
	}
	for _, bb := range []struct {
		name    string
		packets []coalesce.Packet
	}{
		{"acks", acks}, {"udp", udp}, {"oneeach", mice},
	} {
		b.Run(bb.name, func(b *testing.B) {
			size := 0
			for i := range bb.packets {
				size += len(bb.packets[i].Head)
			}
			table := coalesce.New(nil)
			b.SetBytes(int64(size))
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
