// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// newBridged joins two kernels by a bridge; B's way is of that MTU.
func newBridged(t *testing.T, w wire, mtuB uint32) *between {
	t.Helper()
	leak.Check(t)
	l := &between{a: newKernel(t, 1, w, 1500, bridged), b: newKernel(t, 2, w, mtuB, bridged)}
	l.stack = newStack()
	t.Cleanup(func() {
		leak.Within(t, "Destroy", l.stack.Destroy)
		l.a.close()
		l.b.close()
	})
	addNIC(t, l.stack, bridgeNIC, stack.NewBridgeEndpoint(1514))
	for i, k := range []*kernel{l.a, l.b} {
		addNIC(t, l.stack, i+1, k.lower)
		if err := l.stack.SetNICCoordinator(tcpip.NICID(i+1), bridgeNIC); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Through a bridge, too, what leaves is what came; nobody merges, and Stats says
// why.
func TestBridge(t *testing.T) {
	for _, w := range someWires() {
		if w.tun {
			continue // has no Ethernet
		}
		for _, mtu := range []uint32{1500, 1400} {
			for _, v6 := range []bool{false, true} { // a bridge does not forward: no race
				t.Run(fmt.Sprintf("%s/%d/v6 %v", w.name, mtu, v6), func(t *testing.T) {
					l := newBridged(t, w, mtu)
					l.moves(t, v6)
					for _, k := range []*kernel{l.a, l.b} {
						s := k.e.Stats()
						if s.Merged != 0 || !s.NoNIC || s.Dispatcher != "*stack.bridgePort" || s.DroppedNotTCP != 0 {
							t.Errorf("counted %+v", s)
						}
						if w.tso && s.SplitInbound == 0 {
							t.Error("no super-packet was split: this proves nothing")
						}
					}
				})
			}
		}
	}
}

// A bridge has no way to say that a packet is too large for the other port, which a
// sender takes only if nobody has told it of the MTU. TCP is split once more, so that
// nothing stalls.
func TestBridgeToSmallerMTU(t *testing.T) {
	for _, w := range someWires() {
		if w.tun || w.fdbased {
			continue
		}
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/v6 %v", w.name, v6), func(t *testing.T) {
				l := newBridged(t, w, 1500)
				l.b.raw.SetMTU(1400) // the kernel's own stays
				from, to := l.nodes(v6, false)
				got := capture(l.b)
				r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Bytes: 2 << 20, Stall: stall})
				got.stop()
				if err != nil || r.Bytes != 4<<20 {
					t.Fatalf("%d bytes: %v", r.Bytes, err)
				}
				for _, p := range got.received() {
					if len(p) > 1400 {
						t.Fatalf("a packet of %d bytes left by the port with MTU 1400", len(p))
					}
				}
				if s := l.b.e.Stats(); s.Split == 0 {
					t.Errorf("counted %+v", s)
				}
			})
		}
	}
}

// A port may leave, which for gVisor means that its NIC is removed, and another
// join, while traffic flows: what was on its way is sent again. Its device goes down
// before, because gVisor's bridge learns where a station is only once, and a frame
// that it is just taking from the port that leaves is enough for it to believe for
// ever that the station is behind that.
func TestBridgePortsChange(t *testing.T) {
	l := newBridged(t, wires[0], 1500)
	from, to := l.nodes(false, false)
	done := make(chan error, 1)
	go func() {
		_, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Duration: 2 * time.Second, Stall: stall})
		done <- err
	}()
	for i := range 3 {
		time.Sleep(300 * time.Millisecond)
		before := l.b.e
		id := tcpip.NICID(2 + 10*i)
		l.b.do(func() error { return rtnetlink.SetDown("stack0") })
		leak.Until(t, "the link to stop", func() bool { return l.b.raw.Err() != nil })
		leak.Within(t, "RemoveNIC", func() { l.stack.RemoveNIC(id) })
		l.b.do(func() error { return rtnetlink.SetUp("stack0") })
		l.b.openDevice()
		l.b.openRaw()
		id += 10
		addNIC(t, l.stack, int(id), l.b.lower)
		// For a moment it is an ordinary NIC, and not a port.
		if s := l.b.e.Stats(); s.NoNIC {
			t.Error("no NIC before it is a port")
		}
		if err := l.stack.SetNICCoordinator(id, bridgeNIC); err != nil {
			t.Fatal(err)
		}
		if s := l.b.e.Stats(); !s.NoNIC || s.Dispatcher != "*stack.bridgePort" {
			t.Errorf("counted %+v", s)
		}
		if s := before.Stats(); s.Merged > 0 || s.Received == 0 {
			t.Errorf("the port before counted %+v", s)
		}
	}
	if err := leak.Done(t, "the transfer", done); err != nil {
		t.Error(err)
	}
}
