// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// meanwhile transfers through a router while change is called some times, all of
// them before the transfer ends.
func (r *routed) meanwhile(t *testing.T, change func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := transfer.Between(t.Context(), r.hosts[0], r.hosts[1], &transfer.Config{Flows: 2, Duration: 300 * time.Millisecond, Stall: stall})
		done <- err
	}()
	for range 5 {
		time.Sleep(20 * time.Millisecond)
		change()
	}
	if err := leak.Done(t, "the transfer", done); err != nil {
		t.Error(err)
	}
}

// Forwarding may be switched off and on while traffic flows: what comes while it is
// on passes as it came, and nothing is merged while it is off either.
func TestForwardingSwitched(t *testing.T) {
	for name, o := range overs {
		for _, v6 := range families {
			t.Run(fmt.Sprintf("%s/v6 %v", name, v6), func(t *testing.T) {
				leak.Check(t)
				s := newRouterSite(t, v6, o)
				var wire atomic.Pointer[ether]
				wire.Store(s.wires[0])
				dst := "10.0.2.1"
				if v6 {
					dst = "fd00:2::1"
				}
				flow := newStream(&wire, dst)
				for i, b := range flow.frames {
					flow.want[i] = forwarded(b)
				}
				flow.begin()
				off := flow.wait(t)
				s.handled(s.ends[0], off)
				s.forward(false)
				quiet := int(flow.written.Load()) + streamBatch // one may be under way
				s.handled(s.ends[0], flow.wait(t))
				s.forward(true)
				on := int(flow.written.Load()) + streamBatch
				flow.wait(t)
				n := flow.stop()
				leak.Until(t, "the last frame", func() bool { return s.wires[1].endsWith(flow.want[n-1]) })
				gap, after, end := flow.passed(t, s.wires[1].take())
				if gap < off || gap > quiet || after > on || end != n {
					t.Errorf("of %d frames %d to %d did not pass; forwarding was off from %d to %d", end, gap, after, off, on)
				}
				if st := s.ends[0].Stats(); st.Merged != 0 {
					t.Errorf("counted %+v", st)
				}
			})
		}
	}
}

func (s *site) forward(on bool) {
	s.t.Helper()
	s.must(s.stack.SetForwardingDefaultAndAllNICs(s.protocol(), on))
}

// forwarded is what becomes of a frame that the router sends to the other station.
func forwarded(frame []byte) []byte {
	ip := append([]byte{}, frame[header.EthernetMinimumSize:]...)
	if ip[0]>>4 == 6 {
		ip[7]--
	} else {
		ip[8]--
		packettest.FixIPv4(ip[:header.IPv4MinimumSize])
	}
	return frameTo(otherMAC, nicMAC2, ip)
}

// An address that comes and goes while traffic flows through counts from the next
// batch on, and for nothing else.
func TestAddressesChange(t *testing.T) {
	r := newRouter(t, true, nil)
	r.join(t)
	const dst = "fd00:1::77"
	address := addr(true, "", dst)
	want := func(merged uint64, when string) {
		t.Helper()
		before := r.ends[0].Stats().Merged
		r.lowers[0].Write(run(dst), 0)
		if got := r.ends[0].Stats().Merged - before; got != merged {
			t.Errorf("%s: %d packets were merged", when, got)
		}
	}
	r.meanwhile(t, func() {
		want(0, "before")
		r.router.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: header.IPv6ProtocolNumber, AddressWithPrefix: address.WithPrefix()}, stack.AddressProperties{})
		want(1, "with the address")
		r.router.RemoveAddress(1, address)
		want(0, "after")
	})
	if s := r.ends[1].Stats(); s.Merged != 0 {
		t.Errorf("the other side counted %+v", s)
	}
}

// stream writes batches of TCP to a site's first wire until it is stopped. It does not run far ahead of those who wait for it.
type stream struct {
	wire    *atomic.Pointer[ether]
	frames  [][]byte // all there are
	want    [][]byte // as they are to leave
	written atomic.Int64
	limit   atomic.Int64
	stopped chan struct{}
	done    chan struct{}
}

const (
	streamBatch   = 64 // of 32 flows, so that what changes mostly does within a batch
	streamBatches = 400
	streamAhead   = 100 * streamBatch
)

// newStream makes a stream to an address; who is there is not asked.
func newStream(w *atomic.Pointer[ether], to string) *stream {
	s := &stream{wire: w, stopped: make(chan struct{}), done: make(chan struct{})}
	dst := netip.MustParseAddr(to)
	payload := packettest.Stream(0, 100)
	for i := range streamBatch * streamBatches {
		tcp := packettest.TCP{SrcPort: 1000 + uint16(i/2%32), Seq: uint32(i * 100), Payload: payload}
		tcp.IP = packettest.IP{V6: dst.Is6(), Dst: dst, DF: true, ID: uint16(i)}
		s.frames = append(s.frames, frameTo(otherMAC, hostMAC, tcp.Bytes()))
	}
	s.want = slices.Clone(s.frames)
	s.limit.Store(streamAhead)
	return s
}

func (s *stream) begin() {
	go func() {
		defer close(s.done)
		for i := 0; i < len(s.frames); {
			select {
			case <-s.stopped:
				return
			default:
			}
			if int64(i) >= s.limit.Load() {
				time.Sleep(100 * time.Microsecond)
				continue
			}
			s.wire.Load().write(s.frames[i : i+streamBatch])
			i += streamBatch
			s.written.Store(int64(i))
		}
	}()
}

// wait lets some batches pass and returns how many frames are written.
func (s *stream) wait(t *testing.T) int {
	t.Helper()
	end := s.written.Load() + 20*streamBatch
	s.limit.Store(end + streamAhead)
	leak.Until(t, "the stream", func() bool { return s.written.Load() >= end })
	return int(s.written.Load())
}

// stop returns how many frames were written.
func (s *stream) stop() int {
	close(s.stopped)
	<-s.done
	return int(s.written.Load())
}

// passed wants what has left to be frames of the stream in their order, with one gap
// at most, and returns where it begins and ends, and up to where frames left.
func (s *stream) passed(t *testing.T, left [][]byte) (gap, after, end int) {
	t.Helper()
	at, gaps := 0, 0
	for i, b := range left {
		if at < len(s.want) && !bytes.Equal(b, s.want[at]) {
			gap = at
			for at < len(s.want) && !bytes.Equal(b, s.want[at]) {
				at++
			}
			after = at
			gaps++
		}
		if at == len(s.want) || gaps > 1 {
			t.Fatalf("frame %d of %d that left, of %d bytes, is not the one after that before: % x", i, len(left), len(b), b[:min(len(b), 80)])
		}
		at++
	}
	return gap, after, at
}

// newPort makes a port of a bridge anew, in the place of the one before.
func (s *site) newPort(i, id int, o over) {
	s.t.Helper()
	s.wires[i] = newEther(nicMAC1, 1500, o.batches)
	s.ends[i] = newEnd(s.wires[i])
	addNIC(s.t, s.stack, id, s.ends[i])
}

// handled waits until the first Endpoint has done with so many frames.
func (s *site) handled(e *endpoint.Endpoint, n int) {
	s.t.Helper()
	leak.Until(s.t, "the endpoint", func() bool { return e.Stats().Received >= uint64(n) })
}

// A NIC that joins a bridge merges until then what is for it. From then on every
// frame passes as it came, those that were on their way included.
func TestJoinsBridge(t *testing.T) {
	for name, o := range overs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s := newSite(t, false, o)
			addNIC(t, s.stack, bridgeNIC, stack.NewBridgeEndpoint(1514))
			addNIC(t, s.stack, 1, s.link(0), "10.0.1.254/24")
			addNIC(t, s.stack, 2, s.link(1))
			s.must(s.stack.SetNICCoordinator(2, bridgeNIC))
			var wire atomic.Pointer[ether]
			wire.Store(s.wires[0])
			flow := newStream(&wire, "10.0.1.254")
			flow.begin()
			s.handled(s.ends[0], flow.wait(t))
			s.must(s.stack.SetNICCoordinator(1, bridgeNIC))
			joined := int(flow.written.Load()) + streamBatch // one may be under way
			flow.wait(t)
			n := flow.stop()
			s.handled(s.ends[0], n)
			_, from, to := flow.passed(t, s.wires[1].take())
			st := s.ends[0].Stats()
			if from == 0 || from > joined || to != n || !st.NoNIC || st.Merged == 0 || st.DroppedDetached > 0 {
				t.Errorf("of %d frames %d to %d passed, it joined at %d; counted %+v", n, from, to, joined, st)
			}
		})
	}
}

// A port that leaves, which for gVisor means that its NIC is removed, has passed on
// all but what was on its way, and the next one passes on everything.
func TestLeavesBridge(t *testing.T) {
	for name, o := range overs {
		for _, which := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/port %d", name, which+1), func(t *testing.T) {
				leak.Check(t)
				s := newSite(t, false, o)
				addNIC(t, s.stack, bridgeNIC, stack.NewBridgeEndpoint(1514))
				for i := range 2 {
					addNIC(t, s.stack, i+1, s.link(i))
					s.must(s.stack.SetNICCoordinator(tcpip.NICID(i+1), bridgeNIC))
				}
				out := s.wires[1]
				var wire atomic.Pointer[ether]
				wire.Store(s.wires[0])
				flow := newStream(&wire, "10.0.1.254")
				flow.begin()

				leaves := flow.wait(t)
				s.handled(s.ends[0], leaves)
				leak.Within(t, "RemoveNIC", func() { s.stack.RemoveNIC(tcpip.NICID(which + 1)) })
				s.newPort(which, 11+which, o)
				s.must(s.stack.SetNICCoordinator(tcpip.NICID(11+which), bridgeNIC))
				wire.Store(s.wires[0])
				joined := int(flow.written.Load()) + streamBatch // one may be under way
				flow.wait(t)
				n := flow.stop()
				leak.Until(t, "the last frame", func() bool { return s.wires[1].endsWith(flow.frames[n-1]) })
				gap, after, end := flow.passed(t, append(out.take(), s.wires[1].take()...))
				if gap > 0 && (gap < leaves || after > joined) || end != n {
					t.Errorf("of %d frames %d to %d did not pass; the port left at %d, the next joined at %d", end, gap, after, leaves, joined)
				}
				if st := s.ends[0].Stats(); st.Merged != 0 {
					t.Errorf("counted %+v", st)
				}
			})
		}
	}
}
