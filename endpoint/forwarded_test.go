// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// forwarded makes a packet as netstack hands it down when it forwards.
func forwarded(f packettest.Frame, tcpLen int) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: 20, Payload: buffer.MakeWithData(f.Data), IsForwardedPacket: true,
	})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	n := header.IPv4MinimumSize
	if f.Protocol == packettest.ProtocolIPv6 {
		pkt.NetworkProtocolNumber, n = header.IPv6ProtocolNumber, header.IPv6MinimumSize
	}
	pkt.NetworkHeader().Consume(n)
	if tcpLen > 0 {
		pkt.TransportHeader().Consume(tcpLen)
		pkt.TransportProtocolNumber = header.TCPProtocolNumber
	}
	return pkt
}

// answer is a packet of the flow that t's packets come back in.
func answer(t packettest.TCP) packettest.TCP {
	src, dst := "10.0.0.1", "10.0.0.2"
	if t.IP.V6 {
		src, dst = "fd00::1", "fd00::2"
	}
	a := packettest.TCP{SrcPort: 443, DstPort: 40000, IP: packettest.IP{V6: t.IP.V6, Src: netip.MustParseAddr(dst), Dst: netip.MustParseAddr(src)}}
	if t.SrcPort != 0 {
		a.DstPort = t.SrcPort
	}
	return a
}

// A stack that translates addresses forwards what has an address of its own. It
// forwards the answers too: from then on the flow is left alone, and no other.
func TestTranslated(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, override := range map[string]func(tcpip.NetworkProtocolNumber, tcpip.Address) bool{"NIC": nil, "override": always} {
			t.Run(fmt.Sprint(name, v6), func(t *testing.T) { testTranslated(t, v6, override) })
		}
	}
}

func testTranslated(t *testing.T, v6 bool, override func(tcpip.NetworkProtocolNumber, tcpip.Address) bool) {
	r := newRig(t, &endpoint.Config{Workers: 1, EndsHere: override}, nil)
	nat := packettest.TCP{IP: packettest.IP{V6: v6}}
	own := packettest.TCP{SrcPort: 1, IP: packettest.IP{V6: v6}}
	segments, merged := flow(nat, 3, 100)
	ours, oursMerged := flow(own, 3, 100)
	both := append(append([]packettest.Frame{}, segments...), ours...)
	r.same(t, r.frames(both...), []packettest.Frame{merged, oursMerged})
	if r.e.Stats().Forwards {
		t.Error("Forwards before anything was")
	}

	r.write(forwarded(answer(nat).Frame(), 20))
	r.lower.take()
	if !r.e.Stats().Forwards {
		t.Error("Stats does not say that the stack forwards")
	}
	want := append(append([]packettest.Frame{}, segments...), oursMerged)
	for range 2 {
		r.same(t, r.frames(both...), want)
		r.same(t, r.packets(cut{60, 0}, both...), want)
	}
	if n := r.e.Stats().Verdicts[coalesce.NotLocal]; n != 12 {
		t.Errorf("%d packets counted as not local, want 12", n)
	}
	big := nat
	big.Payload = packettest.Stream(0, 5000)
	r.splits(t, inSegments(big, 1000), super(big, 1000))
	big.SrcPort = 1
	r.e.DeliverFrames([]endpoint.Frame{super(big, 1000)})
	r.same(t, r.nic.take(), []packettest.Frame{big.Frame()})
}

// Only TCP that was forwarded counts, and a packet that shows no TCP header does no
// harm.
func TestNotForwarded(t *testing.T) {
	r := newRig(t, nil, nil)
	own := outPacket(answer(packettest.TCP{}), whole, stack.GSO{})
	r.write(own,
		forwarded(packettest.UDP{}.Frame(), 0),
		forwarded(packettest.TCP{}.Frame(), 0),
		forwarded(packettest.TCP{}.Frame(), 12),
		withProtocol(forwarded(packettest.TCP{}.Frame(), 20), 0x88cc))
	r.lower.take()
	if r.e.Stats().Forwards {
		t.Error("something counted as forwarded")
	}
	segments, merged := flow(packettest.TCP{}, 3, 100)
	r.same(t, r.frames(segments...), []packettest.Frame{merged})
}

// Flows are remembered while as many others come as are promised, longer if they
// keep sending, and forgotten some time after.
func TestForwardedAge(t *testing.T) {
	r := newRig(t, nil, nil)
	note := func(from, n int) {
		var list stack.PacketBufferList
		for i := from; i < from+n; i++ {
			a := answer(packettest.TCP{})
			a.IP.Dst = netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
			list.PushBack(forwarded(a.Frame(), 20))
		}
		r.e.WritePackets(list)
		list.Reset()
		r.lower.take()
	}
	const flows = 20
	again := func() {
		for i := range flows {
			r.write(forwarded(answer(packettest.TCP{SrcPort: uint16(i + 1)}).Frame(), 20))
		}
		r.lower.take()
	}
	remembered := func() (n int) {
		for i := range flows {
			segments, _ := flow(packettest.TCP{SrcPort: uint16(i + 1)}, 3, 100)
			if len(r.frames(segments...)) == 3 {
				n++
			}
		}
		return n
	}
	again()
	note(0, endpoint.GenerationFlows)
	if remembered() != flows {
		t.Fatal("forgotten too early")
	}
	again()
	note(1<<20, endpoint.GenerationFlows-flows)
	if remembered() != flows {
		t.Error("forgotten though they kept sending")
	}
	note(2<<20, 2*endpoint.GenerationFlows)
	if n := remembered(); n > flows/2 { // one or two may be in the set by accident
		t.Errorf("%d of %d are remembered for ever", n, flows)
	}
}

func withProtocol(pkt *stack.PacketBuffer, p uint16) *stack.PacketBuffer {
	pkt.NetworkProtocolNumber = tcpip.NetworkProtocolNumber(p)
	return pkt
}

// The gVisor that this is built with forgets GSOOptions while it forwards. Where
// this fails, it has learnt to keep them: see Config.ForwardMerged.
func TestKeepsGSO(t *testing.T) {
	if endpoint.KeepsGSO() {
		t.Error("gVisor keeps GSOOptions: try tests/forwarding with ForwardMerged, and say so in the README")
	}
	r := newRig(t, &endpoint.Config{Workers: 1, ForwardMerged: true}, nil)
	r.nic.notLocal.Store(true)
	segments, _ := flow(packettest.TCP{}, 3, 100)
	r.same(t, r.frames(segments...), segments)
	if r.e.Stats().ForwardsMerged {
		t.Error("ForwardsMerged, but it does not")
	}
}

// With a gVisor that keeps them, what is forwarded is merged, and what leaves by
// another Endpoint is what came.
func TestForwardMerged(t *testing.T) {
	defer endpoint.SetKeepsGSO(true)()
	for kind, tcp := range kinds {
		if tcp.Link.Ethernet {
			continue // a stack makes a new link header
		}
		for _, mode := range []string{"counting IDs", "fixed IDs", "vouched"} {
			t.Run(kind+"/"+mode, func(t *testing.T) {
				out, device := newRig(t, nil, nil), newRig(t, nil, hostGSO)
				in := newRig(t, &endpoint.Config{Workers: 1, ForwardMerged: true}, func(l *fakeLink) {
					if mode == "vouched" {
						l.caps = stack.CapabilityRXChecksumOffload
					}
				})
				in.nic.notLocal.Store(true)
				if !in.e.Stats().ForwardsMerged {
					t.Error("Stats does not say so")
				}
				segments, merged := flow(tcp, 12, 600)
				want := []packettest.Frame{merged}
				if mode == "fixed IDs" && !tcp.IP.V6 {
					for i := range segments {
						s := tcp
						s.Seq += uint32(i * 600)
						s.Payload = packettest.Stream(s.Seq, 600)
						segments[i] = s.Frame()
					}
					want = segments
				}
				for _, got := range [][]delivery{in.frames(segments...), in.packets(cut{100, 0}, segments...)} {
					in.same(t, got, want)
					for _, o := range []*rig{out, device} {
						for _, g := range got {
							pkt := forwarded(g.Frame, 20+len(tcp.Options))
							pkt.GSOOptions = g.gso
							o.write(pkt)
						}
						o.wants(segments)
					}
				}
			})
		}
	}
}

// Even then a wrong checksum is not joined, where the link vouches for all: the way
// out would make it right. And what ends here, is bridged or translated is as ever.
func TestForwardMergedExceptions(t *testing.T) {
	defer endpoint.SetKeepsGSO(true)()
	r := newRig(t, &endpoint.Config{Workers: 1, ForwardMerged: true}, func(l *fakeLink) { l.caps = stack.CapabilityRXChecksumOffload })
	r.nic.notLocal.Store(true)
	r.same(t, r.frames(spoiled()...), spoiled())
	r.nic.notLocal.Store(false)
	segments, merged := flow(packettest.TCP{}, 3, 100)
	got := r.frames(segments...)
	r.same(t, got, []packettest.Frame{merged})
	if got[0].gso != (stack.GSO{}) {
		t.Errorf("GSO options %+v on what ends here", got[0].gso)
	}
	r.e.Attach(&r.nic.dispatcher)
	r.same(t, r.frames(segments...), segments)
}
