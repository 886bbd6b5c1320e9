// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// fakeLink is a lower link that remembers what it was given and delivers what
// the test says.
type fakeLink struct {
	mtu   atomic.Uint32
	caps  stack.LinkEndpointCapabilities
	gso   stack.SupportedGSO
	gsoN  uint32
	ether bool

	mu         sync.Mutex
	dispatcher stack.NetworkDispatcher
	sent       []sent
	calls      int
	room       int // packets that are still accepted; -1: all
	err        tcpip.Error
	closed     int
}

// sent is a packet that the lower link was given.
type sent struct {
	frame     packettest.Frame
	gso       stack.GSO
	transport []byte // the packet's TransportHeader
	hash      uint32
	protocol  tcpip.NetworkProtocolNumber
}

func newFakeLink() *fakeLink {
	l := &fakeLink{room: -1}
	l.mtu.Store(1500)
	return l
}

func (l *fakeLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	for i, pkt := range pkts.AsSlice() {
		if l.room == 0 {
			return i, l.err
		}
		l.room = max(-1, l.room-1)
		s := sent{gso: pkt.GSOOptions, hash: pkt.Hash, protocol: pkt.NetworkProtocolNumber}
		s.frame = packettest.Frame{
			Data:       bytesOf(pkt),
			LinkHdrLen: len(pkt.LinkHeader().Slice()),
			Protocol:   uint16(pkt.NetworkProtocolNumber),
		}
		s.transport = append(s.transport, pkt.TransportHeader().Slice()...)
		l.sent = append(l.sent, s)
	}
	return pkts.Len(), nil
}

// take returns what was sent since the last call.
func (l *fakeLink) take() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sent
	l.sent = nil
	return s
}

func (l *fakeLink) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = d
}

func (l *fakeLink) IsAttached() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dispatcher != nil
}

func (l *fakeLink) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
}

func (l *fakeLink) ARPHardwareType() header.ARPHardwareType {
	if l.ether {
		return header.ARPHardwareEther
	}
	return header.ARPHardwareNone
}

func (l *fakeLink) MTU() uint32                                  { return l.mtu.Load() }
func (l *fakeLink) SetMTU(mtu uint32)                            { l.mtu.Store(mtu) }
func (l *fakeLink) Capabilities() stack.LinkEndpointCapabilities { return l.caps }
func (l *fakeLink) SupportedGSO() stack.SupportedGSO             { return l.gso }
func (l *fakeLink) GSOMaxSize() uint32                           { return l.gsoN }
func (*fakeLink) MaxHeaderLength() uint16                        { return 14 }
func (*fakeLink) LinkAddress() tcpip.LinkAddress                 { return "" }
func (*fakeLink) SetLinkAddress(tcpip.LinkAddress)               {}
func (*fakeLink) AddHeader(*stack.PacketBuffer)                  {}
func (*fakeLink) ParseHeader(*stack.PacketBuffer) bool           { return true }
func (*fakeLink) SetOnCloseAction(func())                        {}
func (*fakeLink) Wait()                                          {}

// dispatcher remembers what it was given. It is no NIC.
type dispatcher struct {
	mu   sync.Mutex
	got  []delivery
	link int                                // calls of DeliverLinkPacket
	hook func(protocol uint16, data []byte) // called without the lock
	seen func(views [][]byte)               // called first, by one test
}

// delivery is a packet that a dispatcher was given.
type delivery struct {
	packettest.Frame
	views    []int // sizes
	protocol tcpip.NetworkProtocolNumber
	pkt      *stack.PacketBuffer // to compare; not held
	pktType  tcpip.PacketType
	gso      stack.GSO
}

func (d *dispatcher) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d.seen != nil {
		d.seen(pkt.AsSlices())
	}
	g := delivery{protocol: pkt.NetworkProtocolNumber, pkt: pkt, pktType: pkt.PktType, gso: pkt.GSOOptions}
	g.Frame = packettest.Frame{
		Data:       bytesOf(pkt),
		LinkHdrLen: len(pkt.LinkHeader().Slice()),
		Protocol:   uint16(protocol),
	}
	for _, s := range pkt.AsSlices() {
		g.views = append(g.views, len(s))
	}
	d.mu.Lock()
	d.got = append(d.got, g)
	hook := d.hook
	d.mu.Unlock()
	if hook != nil {
		hook(uint16(protocol), g.Data)
	}
}

func (d *dispatcher) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link++
}

func (d *dispatcher) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

func (d *dispatcher) take() []delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.got
	d.got = nil
	return g
}

// fakeNIC is a dispatcher that is a NIC with the addresses that builders of
// packettest send to.
type fakeNIC struct {
	dispatcher
	notLocal, promiscuous, spoofing atomic.Bool
}

func (n *fakeNIC) CheckLocalAddress(protocol tcpip.NetworkProtocolNumber, a tcpip.Address) bool {
	if n.spoofing.Load() {
		return true
	}
	local := a == tcpip.AddrFrom4([4]byte{10, 0, 0, 2}) || a == tcpip.AddrFrom16([16]byte{0xfd, 15: 2})
	return local && !n.notLocal.Load() && (a.Len() == 4) == (protocol == header.IPv4ProtocolNumber)
}
func (n *fakeNIC) Promiscuous() bool { return n.promiscuous.Load() }
func (n *fakeNIC) Spoofing() bool    { return n.spoofing.Load() }

func bytesOf(pkt *stack.PacketBuffer) []byte {
	var all []byte
	for _, s := range pkt.AsSlices() {
		all = append(all, s...)
	}
	return all
}

// rig is an Endpoint between a fake link and a fake NIC.
type rig struct {
	t     *testing.T
	lower *fakeLink
	nic   *fakeNIC
	e     *endpoint.Endpoint
}

// newRig attaches. change, if not nil, may set the lower link up before.
func newRig(t *testing.T, cfg *endpoint.Config, change func(*fakeLink)) *rig {
	t.Helper()
	leak.Check(t)
	r := &rig{t: t, lower: newFakeLink(), nic: &fakeNIC{}}
	if change != nil {
		change(r.lower)
	}
	if cfg == nil {
		cfg = &endpoint.Config{Workers: 1}
	}
	r.e = endpoint.New(r.lower, cfg)
	r.e.Attach(r.nic)
	t.Cleanup(r.e.Close)
	return r
}

// frames gives the Endpoint one batch of frames and returns what comes out.
func (r *rig) frames(batch ...packettest.Frame) []delivery {
	frames := make([]endpoint.Frame, len(batch))
	for i, f := range batch {
		frames[i] = endpointFrame(f)
	}
	r.e.DeliverFrames(frames)
	return r.nic.take()
}

func endpointFrame(f packettest.Frame) endpoint.Frame {
	return endpoint.Frame{
		Data:       f.Data,
		Protocol:   tcpip.NetworkProtocolNumber(f.Protocol),
		LinkHdrLen: f.LinkHdrLen,
	}
}

// plug is a packet by which the tests hold up a worker.
func plug() packettest.Frame {
	return packettest.UDP{SrcPort: 7, DstPort: 7, Payload: []byte("plug")}.Frame()
}

// packets gives the Endpoint packets one by one, each cut into views, while
// its worker is held up, so that they become one batch. It returns what comes
// out.
func (r *rig) packets(cut cut, batch ...packettest.Frame) []delivery {
	r.t.Helper()
	inside, release := make(chan struct{}, 1), make(chan struct{})
	first := true
	r.nic.mu.Lock()
	r.nic.hook = func(uint16, []byte) {
		if first {
			first = false
			inside <- struct{}{}
			<-release
		}
	}
	r.nic.mu.Unlock()
	before := r.e.Stats()
	r.deliver(whole, plug())
	leak.Done(r.t, "the worker's delivery", inside)
	r.deliver(cut, batch...)
	close(release)
	leak.Until(r.t, "delivery of the queued packets", func() bool {
		s := r.e.Stats() // a packet alone is counted before it is delivered
		return s.Received == before.Received+1+uint64(len(batch)) && uint64(r.nic.len()) == s.Delivered-before.Delivered
	})
	return r.nic.take()[1:]
}

func (r *rig) deliver(cut cut, batch ...packettest.Frame) {
	for _, f := range batch {
		pkt := inbound(f, cut)
		r.e.DeliverNetworkPacket(tcpip.NetworkProtocolNumber(f.Protocol), pkt)
		pkt.DecRef()
	}
}

// cut says how a packet's bytes are spread over views: the sizes of the first
// ones, of which the last one repeats; 0 ends with all the rest.
type cut []int

var whole = cut{0}

// inbound makes a packet as a link delivers it, its link header parsed.
func inbound(f packettest.Frame, cut cut) *stack.PacketBuffer {
	var data buffer.Buffer
	for i, rest := 0, f.Data; len(rest) > 0; i++ {
		n := cut[min(i, len(cut)-1)]
		if n == 0 {
			n = len(rest)
		}
		n = min(n, len(rest))
		// Exactly sized, and not by Append, which would fill up the view before.
		part := buffer.MakeWithView(buffer.NewViewWithData(rest[:n]))
		data.Merge(&part)
		rest = rest[n:]
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
	pkt.LinkHeader().Consume(f.LinkHdrLen)
	pkt.PktType = tcpip.PacketHost
	return pkt
}

// sums is what an honest reader checks of an IP packet: the IPv4 header's and
// the TCP checksum.
func sums(ip []byte) (ok bool) {
	l4 := 40
	if ip[0]>>4 == 4 {
		l4 = int(ip[0]&15) * 4
		if checksum.Checksum(ip[:l4], 0) != 0xffff {
			return false
		}
	} else {
		for next := ip[6]; next != 6; {
			next, l4 = ip[l4], l4+8+8*int(ip[l4+1])
		}
	}
	return packettest.TCPValid(ip, l4)
}
