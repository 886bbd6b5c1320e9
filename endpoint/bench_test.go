// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const benchBatch = 128

// sinkNIC is a NIC that takes everything for its own and drops it.
type sinkNIC struct{ packets int }

func (n *sinkNIC) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) { n.packets++ }
func (*sinkNIC) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)      {}
func (*sinkNIC) Promiscuous() bool                                                       { return true }
func (*sinkNIC) Spoofing() bool                                                          { return false }
func (*sinkNIC) CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool       { return true }

// traffic makes the packets of one batch.
var traffic = []struct {
	name   string
	packet func(i int) []byte
}{
	{"bulk", func(i int) []byte {
		seq := uint32(i) * 1448
		return packettest.TCP{Seq: seq, IP: packettest.IP{ID: uint16(i)}, Payload: packettest.Stream(seq, 1448)}.Bytes()
	}},
	{"mice", func(i int) []byte {
		return packettest.TCP{SrcPort: uint16(1024 + i), Payload: packettest.Stream(0, 1448)}.Bytes()
	}},
	{"acks", func(i int) []byte { return packettest.TCP{Ack: uint32(i)}.Bytes() }},
	{"udp", func(i int) []byte { return packettest.UDP{Payload: packettest.Stream(0, 1200)}.Bytes() }},
}

// BenchmarkDeliver takes batches of 128 packets to a NIC that drops them: through
// an Endpoint, and as a link without one would, a PacketBuffer for each. An
// operation is one packet.
func BenchmarkDeliver(b *testing.B) {
	for _, tr := range traffic {
		frames := make([]endpoint.Frame, benchBatch)
		size := 0
		for i := range frames {
			frames[i] = endpoint.Frame{Data: tr.packet(i), Protocol: header.IPv4ProtocolNumber}
			size += len(frames[i].Data)
		}
		b.Run(tr.name+"/endpoint", func(b *testing.B) {
			b.SetBytes(int64(size / benchBatch))
			b.ReportAllocs()
			e := endpoint.New(channel.New(1, 1500, ""), nil)
			defer e.Close()
			e.Attach(&sinkNIC{})
			for i := 0; i < b.N; i += benchBatch {
				e.DeliverFrames(frames[:min(benchBatch, b.N-i)])
			}
		})
		b.Run(tr.name+"/bare", func(b *testing.B) {
			b.SetBytes(int64(size / benchBatch))
			b.ReportAllocs()
			var nic stack.NetworkDispatcher = &sinkNIC{}
			for i := range b.N {
				pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
					Payload: buffer.MakeWithData(frames[i%benchBatch].Data),
				})
				nic.DeliverNetworkPacket(header.IPv4ProtocolNumber, pkt)
				pkt.DecRef()
			}
		})
	}
}
