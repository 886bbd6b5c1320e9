// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// between are two kernels and what stands between them.
type between struct {
	a, b        *kernel
	stack       *stack.Stack
	iperfServer sync.Once
}

// newRouted joins two kernels by a router, and checks at the end that nothing is left
// of it; B's way is of that MTU.
func newRouted(t *testing.T, w wire, mtuB uint32) *between {
	t.Helper()
	leak.Check(t)
	return route(t, w, mtuB)
}

// route joins two kernels by a router.
func route(t testing.TB, w wire, mtuB uint32) *between {
	t.Helper()
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
// right in every byte, iperf3 does not stall, and what leaves is what came: captured
// on both sides, packet by packet.
func TestRouter(t *testing.T) {
	for _, w := range someWires() {
		for _, mtu := range []uint32{1500, 1400} {
			for _, v6 := range families {
				t.Run(fmt.Sprintf("%s/%d/v6 %v", w.name, mtu, v6), func(t *testing.T) {
					l := newRouted(t, w, mtu)
					if v6 && mtu < 1500 {
						l.a.sysctl("ipv4/tcp_mtu_probing", "2") // see TestPacketTooBig
					}
					l.moves(t, v6)
					l.check(t, v6, mtu)
				})
			}
		}
	}
}

// fdbased throws away what the kernel says of the super-packets that it passes on
// (gVisor issue 14011). They are split at the MTU, which is what their sender would
// have done, as long as that is the MTU of the whole way.
func TestRouterFDBasedSuperPackets(t *testing.T) {
	w := wire{name: "AF_PACKET vnet, TSO on, fdbased", fdbased: true, vnet: true, tso: true, trust: true}
	for _, v6 := range families {
		t.Run(fmt.Sprintf("v6 %v", v6), func(t *testing.T) {
			l := newRouted(t, w, 1500)
			l.moves(t, v6)
			l.check(t, v6, 1500)
		})
	}
}

// moves transfers some megabytes in both directions, has iperf3 do the same, and
// compares what was captured.
func (l *between) moves(t *testing.T, v6 bool) {
	t.Helper()
	before := l.dropped()
	a, b := capture(l.a), capture(l.b)
	failed := ""
	for _, back := range []bool{false, true} {
		from, to := l.nodes(v6, back)
		r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Bytes: 1 << 20, Stall: stall})
		if err != nil || r.Bytes != 2<<20 {
			failed += fmt.Sprintf("back %v: %d bytes: %v\n", back, r.Bytes, err)
		} else if rate, _ := l.iperf(t, v6, back, "-n", "4M"); rate == 0 {
			failed += fmt.Sprintf("back %v: iperf3 failed\n", back)
		}
	}
	there := crossing{what: "there", early: len(a.sent()), mtu: int(l.b.mtu)}
	back := crossing{what: "back", early: len(b.sent()), mtu: int(l.a.mtu)}
	settle(func() bool { return arrived(a, b, there.early, there.mtu) && arrived(b, a, back.early, back.mtu) })
	a.freeze()
	b.freeze()
	a.stop()
	b.stop()
	if failed != "" {
		t.Fatal(failed)
	}
	dropped := (l.dropped() - before) * l.a.wire.packetsPerFrame()
	for _, c := range []*crossing{&there, &back} {
		c.sent, c.received, c.dropped = a.sent(), b.received(), dropped
		a, b = b, a
		c.check(t)
	}
	wantTooBig(t, a.tooBig, a.sent(), int(l.b.mtu))
	wantTooBig(t, b.tooBig, b.sent(), int(l.a.mtu))
}

func (l *between) dropped() int { return l.a.dropped() + l.b.dropped() }

// settle waits until cond holds, or for as long as it makes sense.
func settle(cond func() bool) {
	for end := time.Now().Add(2 * time.Second); !cond() && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
}

// arrived reports whether as many packets have arrived as were among the first n
// that were sent and fit the MTU.
func arrived(from, to *captured, n, mtu int) bool {
	fit := 0
	for _, p := range from.sent()[:n] {
		if len(p) <= mtu {
			fit++
		}
	}
	return len(to.received()) >= fit
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
		s := k.e.Stats()
		if s.Merged != 0 || s.NoNIC || !s.Forwards || s.Received < 1000 && !k.wire.tso {
			t.Errorf("counted %+v", s)
		}
		if k.raw == nil {
			continue
		}
		raw := k.raw.Stats()
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
