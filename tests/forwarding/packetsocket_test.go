// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/packet"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// packetSocket is an AF_PACKET socket of a stack, with room for all that a test
// sends.
type packetSocket struct {
	tcpip.Endpoint
	t *testing.T
}

func newPacketSocket(t *testing.T, s *stack.Stack) *packetSocket {
	t.Helper()
	const room = 64 << 20
	if err := s.SetOption(tcpip.ReceiveBufferSizeOption{Min: stack.MinBufferSize, Default: room, Max: room}); err != nil {
		t.Fatal(err)
	}
	p := &packetSocket{packet.NewEndpoint(s, false, header.EthernetProtocolAll, new(waiter.Queue)), t}
	t.Cleanup(p.Close)
	return p
}

// seen returns what has come in, and what has gone out, since the last call.
func (p *packetSocket) seen() (in, out [][]byte) {
	for {
		var b bytes.Buffer
		r, err := p.Read(&b, tcpip.ReadOptions{NeedLinkPacketInfo: true})
		if err != nil {
			return in, out
		}
		if r.LinkPacketInfo.PktType == tcpip.PacketOutgoing {
			out = append(out, b.Bytes())
		} else {
			in = append(in, b.Bytes())
		}
	}
}

// What ends in the stack a packet socket sees merged, with the link header of the
// first packet and right checksums, as on Linux with GRO; what goes on it sees on
// its way in and out as it came.
func TestPacketSocketIn(t *testing.T) {
	for name, o := range overs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			o.batches = true // so that it is known what merges
			s := newRouterSite(t, true, o)
			p := newPacketSocket(t, s.stack)
			segments := run("fd00:1::fe")
			frames := make([][]byte, len(segments))
			for i, b := range segments {
				frames[i] = frameTo(nicMAC1, hostMAC, b)
			}
			s.wires[0].write(frames)
			in, _ := p.seen()
			whole := packettest.TCP{IP: packettest.IP{V6: true, Dst: netip.MustParseAddr("fd00:1::fe")}, Payload: packettest.Stream(0, 4000)}.Bytes()
			if len(in) != 1 || !bytes.Equal(in[0], frameTo(nicMAC1, hostMAC, whole)) {
				t.Errorf("saw %d packets: %s", len(in), difference(in, [][]byte{frameTo(nicMAC1, hostMAC, whole)}))
			}

			for i, b := range run("fd00:2::1") {
				frames[i] = frameTo(nicMAC1, hostMAC, b)
			}
			s.wires[0].write(frames)
			in, out := p.seen()
			if !slices.EqualFunc(in, frames, bytes.Equal) {
				t.Errorf("%d packets to be forwarded were seen as %d", len(frames), len(in))
			}
			if left := s.wires[1].take(); len(out) != 4 || !slices.EqualFunc(out, left, bytes.Equal) {
				t.Errorf("%d packets left and %d were seen", len(left), len(out))
			}
		})
	}
}

// What a stack's own TCP sends a packet socket sees before it is split, as on Linux
// with TSO, and what it receives merged. Nothing is missing and nothing is seen
// twice; without merging and splitting packets are those on the wire.
func TestPacketSocketOfHost(t *testing.T) {
	for _, test := range []struct {
		name    string
		cfg     *endpoint.Config
		in, out bool // larger than the MTU
	}{
		{"both", nil, true, true},
		{"no merging", &endpoint.Config{DisableCoalescing: true}, false, true},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				leak.Check(t)
				addrs := []string{"10.0.1.1", "10.0.1.2"}
				if v6 {
					addrs = []string{"fd00:1::1", "fd00:1::2"}
				}
				links := [2]*memlink.Link{memlink.New(nil), memlink.New(nil)}
				s := newStack()
				t.Cleanup(func() { leak.Within(t, "Destroy", s.Destroy) })
				addNIC(t, s, 1, endpoint.New(links[0], test.cfg), "10.0.1.1/24", "fd00:1::1/64")
				watched := &stackNode{s, netip.MustParseAddr(addrs[0])}
				peer, err := transfer.NewHost(endpoint.New(links[1], nil), &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr(addrs[1])}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { peer.Close() })
				p := newPacketSocket(t, s)
				t.Cleanup(transfer.JoinBatches(links[0], links[1]))
				const size = 4 << 20
				for _, err := range []error{
					moved(t, watched, peer, &transfer.Config{Bytes: size}),
					pulled(t, watched, peer, &transfer.Config{Bytes: size}),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				in, out := p.seen()
				wantStream(t, "in", in, size, test.in)
				wantStream(t, "out", out, size, test.out)
			})
		}
	}
}

// stackNode is a Node that only dials.
type stackNode struct {
	stack *stack.Stack
	addr  netip.Addr
}

func (n *stackNode) Addr() netip.Addr { return n.addr }

func (n *stackNode) Listen(context.Context, uint16) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

func (n *stackNode) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	protocol := header.IPv4ProtocolNumber
	if to.Addr().Is6() {
		protocol = header.IPv6ProtocolNumber
	}
	return gonet.DialContextTCP(ctx, n.stack, tcpip.FullAddress{Addr: tcpip.AddrFromSlice(to.Addr().AsSlice()), Port: to.Port()}, protocol)
}

// wantStream wants packets of TCP that carry a transfer of size bytes, none missing,
// in packets larger than the MTU, or none of those.
func wantStream(t *testing.T, what string, packets [][]byte, size int, large bool) {
	t.Helper()
	type span struct{ from, to int }
	first, flows := map[uint16]uint32{}, map[uint16][]span{} // by the sender's port
	largest := 0
	for _, ip := range packets {
		l4, ok := tcpOf(ip)
		if !ok || ipLen(ip) != len(ip) {
			t.Fatalf("%s: a packet of %d bytes: % x", what, len(ip), ip[:min(len(ip), 60)])
		}
		largest = max(largest, len(ip))
		tcp := header.TCP(ip[l4:])
		port, seq := tcp.SourcePort(), tcp.SequenceNumber()
		if tcp.Flags().Contains(header.TCPFlagSyn) {
			first[port] = seq + 1
			continue
		}
		from := int(seq - first[port])
		flows[port] = append(flows[port], span{from, from + len(tcp.Payload())})
	}
	most := 0
	for _, spans := range flows {
		slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
		end := 0
		for _, s := range spans {
			if s.from > end {
				break
			}
			end = max(end, s.to)
		}
		most = max(most, end)
	}
	if most < size {
		t.Errorf("%s: of %d bytes %d were seen", what, size, most)
	}
	if (largest > 1500) != large {
		t.Errorf("%s: the largest packet has %d bytes", what, largest)
	}
}
