// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/endpoint"
)

// nic is where received packets go. It takes everything for its own, counts, has
// deliver look at it if that is not nil, and drops it.
type nic struct {
	packets int
	deliver func(*stack.PacketBuffer)
}

func (n *nic) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	n.packets++
	if n.deliver != nil {
		n.deliver(pkt)
	}
}

func (*nic) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
func (*nic) Promiscuous() bool                                                  { return true }
func (*nic) Spoofing() bool                                                     { return false }
func (*nic) CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool  { return true }

// receiver makes of a batch of frames, which stay the caller's, packets for a NIC.
// The result takes one batch; end releases what it holds.
type receiver func(tr *traffic.Batch, trusted bool, n *nic) (take func(), end func())

var receivers = []struct {
	impl string
	make receiver
}{{"none", bareReceiver}, {"gvisor", gvisorReceiver}, {"ours", ourReceiver}}

// newPacket is what a link without batches makes of a frame.
func newPacket(tr *traffic.Batch, frame []byte, trusted bool) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		Payload: buffer.MakeWithView(buffer.NewViewWithData(frame)),
	})
	pkt.NetworkProtocolNumber = tr.Kind.Protocol()
	pkt.RXChecksumValidated = trusted
	return pkt
}

// bareReceiver delivers every frame by itself, and verifies nothing.
func bareReceiver(tr *traffic.Batch, trusted bool, n *nic) (take, end func()) {
	frames := tr.Frames()
	return func() {
		for _, frame := range frames {
			pkt := newPacket(tr, frame, trusted)
			n.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
			pkt.DecRef()
		}
	}, func() {}
}

// gvisorReceiver is gro.GRO, used as link/fdbased does.
func gvisorReceiver(tr *traffic.Batch, trusted bool, n *nic) (take, end func()) {
	frames := tr.Frames()
	g := &gro.GRO{Dispatcher: n}
	g.Init(true)
	return func() {
		for _, frame := range frames {
			pkt := newPacket(tr, frame, trusted)
			g.Enqueue(pkt)
			pkt.DecRef()
		}
		flush(g, &n.packets)
	}, func() {}
}

// flush delivers all that g holds: one Flush leaves most of it.
func flush(g *gro.GRO, delivered *int) {
	for before := -1; before != *delivered; {
		before = *delivered
		g.Flush()
	}
}

// ourReceiver is an Endpoint, as a link that knows its batches uses it: package
// coalesce, and a PacketBuffer for what leaves it.
func ourReceiver(tr *traffic.Batch, trusted bool, n *nic) (take, end func()) {
	lower := channel.New(1, traffic.DefaultSize, "")
	if trusted {
		lower.LinkEPCapabilities = stack.CapabilityRXChecksumOffload
	}
	var frames []endpoint.Frame
	for _, frame := range tr.Frames() {
		frames = append(frames, endpoint.Frame{Data: frame, Protocol: tr.Kind.Protocol()})
	}
	e := endpoint.New(lower, nil)
	e.Attach(n)
	return func() { e.DeliverFrames(frames) }, func() {
		e.Attach(nil)
		e.Close()
		e.Wait()
	}
}

const receiveBatch = 64

// receiveTraffic is TCP only: gVisor's GRO merges nothing else.
func receiveTraffic() (out []*traffic.Batch) {
	shapes := append([]traffic.Shape{{Pattern: traffic.RoundRobin, Flows: 64}}, traffic.Shapes...)
	for _, kind := range []traffic.Kind{traffic.TCP4, traffic.TCP6} {
		for _, s := range shapes {
			out = append(out, &traffic.Batch{Kind: kind, Pattern: s.Pattern, Flows: s.Flows, Packets: receiveBatch})
		}
	}
	for _, flows := range []int{1, 16, 256} {
		out = append(out, &traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.RoundRobin, Flows: flows, Packets: 1024})
	}
	return out
}

func sumName(trusted bool) string {
	if trusted {
		return "trusted"
	}
	return "verified"
}

// BenchmarkReceive takes a batch of frames to a NIC that drops packets.
func BenchmarkReceive(b *testing.B) {
	for _, tr := range receiveTraffic() {
		for _, trusted := range []bool{false, true} {
			for _, r := range receivers {
				if r.impl == "none" && !trusted {
					continue // verifying is left to the stack
				}
				name := fmt.Sprintf("%v/batch=%d/sum=%s/impl=%s", tr, tr.Packets, sumName(trusted), r.impl)
				b.Run(name, func(b *testing.B) { benchReceive(b, tr, trusted, r.make) })
			}
		}
	}
}

func benchReceive(b *testing.B, tr *traffic.Batch, trusted bool, r receiver) {
	n := &nic{}
	take, end := r(tr, trusted, n)
	defer end()
	b.SetBytes(tr.Bytes())
	b.ReportAllocs()
	for b.Loop() {
		take()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tr.Packets), "ns/packet")
	b.ReportMetric(float64(b.N*tr.Packets)/float64(n.packets), "packets/run")
}

// TestReceive: every implementation delivers every flow's bytes, in the order of
// their arrival.
func TestReceive(t *testing.T) {
	for _, tr := range receiveTraffic() {
		want := streams(t, tr.Frames())
		for _, trusted := range []bool{false, true} {
			for _, r := range receivers {
				t.Run(fmt.Sprintf("%v/%d/%s/%s", tr, tr.Packets, sumName(trusted), r.impl), func(t *testing.T) {
					got := newFlows()
					n := &nic{deliver: func(pkt *stack.PacketBuffer) {
						v := pkt.ToView()
						defer v.Release()
						got.add(t, v.AsSlice())
					}}
					take, end := r.make(tr, trusted, n)
					defer end()
					for range 2 { // state left behind would show in the second batch
						got.reset()
						take()
						got.compare(t, want)
					}
				})
			}
		}
	}
}
