// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// between are two kernels and what stands between them.
type between struct {
	a, b  *kernel
	stack *stack.Stack
}

// newRouted joins two kernels by a router; B's way is of that MTU.
func newRouted(t *testing.T, w wire, mtuB uint32) *between {
	t.Helper()
	if !w.fdbased { // leaves goroutines behind
		leak.Check(t)
	}
	l := &between{a: newKernel(t, 1, w, 1500, !bridged), b: newKernel(t, 2, w, mtuB, !bridged)}
	l.stack = newStack()
	t.Cleanup(func() {
		leak.Within(t, "Destroy", l.stack.Destroy)
		l.a.close()
		l.b.close()
	})
	for i, k := range []*kernel{l.a, l.b} {
		addNIC(t, l.stack, i+1, k.lower, fmt.Sprintf("10.0.%d.254/24", i+1), fmt.Sprintf("fd00:%d::fe/64", i+1))
	}
	forwardAll(t, l.stack)
	for _, k := range []*kernel{l.a, l.b} {
		if w.tun && !w.tso {
			k.offloadsOff(k.device) // with its NIC, the link has asked for all
		}
	}
	return l
}

// nodes are the kernels' TCP, in the order of the direction.
func (l *between) nodes(v6, back bool) (from, to transfer.Node) {
	from, to = l.a.at(l.a.v4), l.b.at(l.b.v4)
	if v6 {
		from, to = l.a.at(l.a.v6), l.b.at(l.b.v6)
	}
	if back {
		from, to = to, from
	}
	return from, to
}

// Whatever the wires, the MTUs and the direction, a transfer through the router is
// right in every byte, and what leaves is what came: captured on both sides, packet
// by packet.
func TestRouter(t *testing.T) {
	for _, w := range wires {
		for _, mtu := range []uint32{1500, 1400} {
			for _, v6 := range families {
				t.Run(fmt.Sprintf("%s/%d/v6 %v", w.name, mtu, v6), func(t *testing.T) {
					l := newRouted(t, w, mtu)
					if v6 && mtu < 1500 {
						l.a.sysctl("ipv4/tcp_mtu_probing", "2") // see TestPacketTooBig
					}
					for _, back := range []bool{false, true} {
						l.moves(t, v6, back)
					}
					l.check(t, v6, mtu)
				})
			}
		}
	}
}

// gVisor's routers say of IPv6 that a packet is too big, but not for which MTU: the
// field is 0, which senders must ignore (RFC 8201, section 4). So path MTU discovery
// over IPv6 does not work through them, over any link; a sender has to probe (RFC
// 4821). Where this fails gVisor has learnt it, and TestRouter need not probe.
func TestPacketTooBig(t *testing.T) {
	for _, w := range []wire{{name: "endpoint"}, {name: "bare", bare: true}} {
		t.Run(w.name, func(t *testing.T) {
			l := newRouted(t, w, 1400)
			errors := capture(l.a)
			from, to := l.nodes(true, false)
			_, err := transfer.Between(t.Context(), from, to, &transfer.Config{Bytes: 1 << 20, Stall: time.Second, Limit: 5 * time.Second})
			errors.stop()
			if err == nil {
				t.Error("the transfer found the path's MTU")
			}
			if n := l.stack.Stats().ICMP.V6.PacketsSent.PacketTooBig.Value(); n == 0 || len(errors.tooBig) == 0 {
				t.Fatalf("the router sent %d errors, %d came", n, len(errors.tooBig))
			}
			for _, mtu := range errors.tooBig {
				if mtu != 0 {
					t.Errorf("Packet Too Big says %d", mtu)
				}
			}
		})
	}
}

// moves transfers some megabytes and compares what was captured.
func (l *between) moves(t *testing.T, v6, back bool) {
	t.Helper()
	ends := []*kernel{l.a, l.b}
	if back {
		ends = []*kernel{l.b, l.a}
	}
	before := l.a.dropped() + l.b.dropped()
	left, right := capture(ends[0]), capture(ends[1])
	from, to := l.nodes(v6, back)
	r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Bytes: 2 << 20, Stall: stall})
	time.Sleep(200 * time.Millisecond) // for the last ACKs, so that both see them
	left.stop()
	right.stop()
	if err != nil || r.Bytes != 4<<20 {
		t.Fatalf("back %v: %d bytes: %v", back, r.Bytes, err)
	}
	dropped := l.a.dropped() + l.b.dropped() - before
	compare(t, fmt.Sprintf("back %v, there", back), left.sent(), right.received(), int(ends[1].mtu), dropped)
	compare(t, fmt.Sprintf("back %v, and back", back), right.sent(), left.received(), int(ends[0].mtu), dropped)
}

// check looks at what was counted.
func (l *between) check(t *testing.T, v6 bool, mtuB uint32) {
	t.Helper()
	if v6 && mtuB < 1500 {
		mtuB = 0 // whether probes were lost is up to the kernel
	}
	tooBig := l.stack.Stats().ICMP.V4.PacketsSent.DstUnreachable.Value()
	if v6 {
		tooBig = l.stack.Stats().ICMP.V6.PacketsSent.PacketTooBig.Value()
	}
	if mtuB > 0 && (tooBig > 0) != (mtuB < 1500) {
		t.Errorf("the router sent %d errors about the MTU", tooBig)
	}
	for _, k := range []*kernel{l.a, l.b} {
		s, raw := k.e.Stats(), k.raw.Stats()
		t.Logf("%+v", raw)
		if s.Merged != 0 || s.NoNIC || !s.Forwards || s.Received < 1000 && !k.wire.tso {
			t.Errorf("counted %+v", s)
		}
		if (raw.Super > 0) != (s.SplitInbound > 0) {
			t.Errorf("%d super-packets came, %d were split", raw.Super, s.SplitInbound)
		}
		if k.wire.tso != (raw.Super > 0) {
			t.Errorf("%d super-packets came: this proves nothing", raw.Super)
		}
		if raw.DroppedOversize+raw.DroppedVnetHdr+raw.DroppedUnsplittable+raw.DroppedRefused > 0 {
			t.Errorf("dropped: %+v", raw)
		}
	}
}
