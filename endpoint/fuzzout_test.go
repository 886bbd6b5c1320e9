// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// outSpelling is a packet on its way down, and the link below.
type outSpelling struct {
	ether, hostGSO, needsCsum, fix bool // fix: make the length fields right
	gso                            byte
	mss, mtu                       uint16
	l3, link, net, transport       byte // lengths: of GSO options, of headers told apart
	cut, more                      byte // size of views; KiB to append
	data                           []byte
}

const outSpellingLen = 12

func (o *outSpelling) spell() []byte {
	b := []byte{o.gso << 4}
	for i, set := range []bool{o.ether, o.hostGSO, o.needsCsum, o.fix} {
		if set {
			b[0] |= 1 << i
		}
	}
	b = binary.BigEndian.AppendUint16(b, o.mss)
	b = binary.BigEndian.AppendUint16(b, o.mtu)
	return append(append(b, o.l3, o.link, o.net, o.transport, o.cut, o.more, 0), o.data...)
}

func readOut(b []byte) (o outSpelling, ok bool) {
	if len(b) < outSpellingLen {
		return o, false
	}
	return outSpelling{
		ether: b[0]&1 != 0, hostGSO: b[0]&2 != 0, needsCsum: b[0]&4 != 0, fix: b[0]&8 != 0, gso: b[0] >> 4 & 3,
		mss: binary.BigEndian.Uint16(b[1:]), mtu: binary.BigEndian.Uint16(b[3:]),
		l3: b[5], link: b[6], net: b[7], transport: b[8], cut: b[9], more: b[10] % 64,
		data: b[outSpellingLen:],
	}, true
}

// packet makes the packet. Headers are told apart where there are bytes for them;
// where there are none it is a bridge's.
func (o *outSpelling) packet() *stack.PacketBuffer {
	data := append(append([]byte{}, o.data...), make([]byte, 1024*int(o.more))...)
	link := min(int(o.link)&14, len(data)) // 0 to 14
	if o.fix {
		fixLength(data[link:])
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: views(data, cut{1 + int(o.cut), 0})})
	pkt.LinkHeader().Consume(link)
	if o.net > 0 {
		pkt.NetworkHeader().Consume(min(int(o.net), pkt.Data().Size()))
		pkt.TransportHeader().Consume(min(int(o.transport), pkt.Data().Size()))
		pkt.NetworkProtocolNumber = packettest.ProtocolIPv4
	}
	pkt.GSOOptions = stack.GSO{Type: stack.GSOType(o.gso), NeedsCsum: o.needsCsum, CsumOffset: 16, MSS: o.mss, L3HdrLen: uint16(o.l3)}
	return pkt
}

func fixLength(ip []byte) {
	switch {
	case len(ip) >= 40 && ip[0]>>4 == 6:
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
	case len(ip) >= 20 && ip[0]>>4 == 4:
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	}
}

// Whatever the stack hands down, no frame larger than the MTU leaves, and what
// does not leave is counted.
func FuzzWritePackets(f *testing.F) {
	for _, tcp := range large() { // each framing as netstack sends it, and with an MSS of 0
		frame := tcp.Frame()
		n := headerLen(tcp)
		for _, mss := range []uint16{1400, 0} {
			o := outSpelling{
				ether: tcp.Link.Ethernet, needsCsum: true, fix: true, gso: byte(gsoOf(tcp, mss).Type), mss: mss, mtu: 1500,
				l3: byte(gsoOf(tcp, mss).L3HdrLen), link: byte(frame.LinkHdrLen), net: byte(n - frame.NetOffset() - 20), transport: 20,
				cut: 99, more: 9, data: frame.Data[:n+50],
			}
			f.Add(o.spell())
			o.hostGSO = true
			f.Add(o.spell())
		}
	}
	vlan := packettest.TCP{Link: packettest.Link{Ethernet: true, VLAN: 3}, Payload: make([]byte, 1461)}
	for _, p := range []packettest.Frame{
		vlan.Frame(), // a bridge's frame, tagged and too large
		packettest.UDP{Payload: make([]byte, 1473)}.Frame(), // too large and not TCP
		{Data: make([]byte, 1501)},                          // nothing at all, too large
	} {
		o := outSpelling{ether: true, mtu: 1500, cut: 7, data: p.Data}
		f.Add(o.spell())
	}
	for _, mtu := range []uint16{0, 20, 40, 41, 68} { // MTUs that hold little or nothing
		o := outSpelling{needsCsum: true, gso: 1, mss: 5000, mtu: mtu, l3: 20, net: 20, transport: 20, data: packettest.TCP{Payload: make([]byte, 99)}.Bytes()}
		f.Add(o.spell())
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		o, ok := readOut(b)
		if !ok {
			return
		}
		if o.mss > 0 && o.mss < 64 || o.mtu < 100 {
			o.more %= 4 // thousands of tiny segments are only slow
		}
		toFakeLink(t, &o)
		toMemlink(t, &o)
	})
}

func toFakeLink(t *testing.T, o *outSpelling) {
	l := newFakeLink()
	l.ether = o.ether
	l.mtu.Store(uint32(o.mtu))
	if o.hostGSO {
		hostGSO(l)
	}
	e := endpoint.New(l, &endpoint.Config{Workers: 1})
	defer e.Close()
	var list stack.PacketBufferList
	pkt := o.packet()
	size := pkt.Size()
	list.PushBack(pkt)
	defer list.Reset()
	if n, err := e.WritePackets(list); n != 1 || err != nil {
		t.Errorf("WritePackets gave %d, %v", n, err)
	}
	sent := l.take()
	for i, s := range sent {
		over := len(s.frame.Data) - linkLen(s, l.ether) - int(o.mtu)
		if over > 0 && !(o.hostGSO && s.gso.Type != stack.GSONone && s.gso.Type != stack.GSOGvisor && s.gso.MSS > 0) {
			t.Errorf("packet %d of %d (from one of %d): %d bytes over the MTU, GSO %+v", i, len(sent), size, over, s.gso)
		}
	}
	s := e.Stats()
	dropped := s.DroppedNotTCP + s.DroppedMalformed + s.DroppedMTU + s.DroppedChecksum
	switch {
	case dropped > 1 || (dropped == 1) == (len(sent) > 0):
		t.Errorf("%d packets sent, counted %+v", len(sent), s)
	case s.Split == 1 && s.Segments != uint64(len(sent)) || s.Split == 0 && len(sent) > 1:
		t.Errorf("%d packets sent, counted %+v", len(sent), s)
	}
}

// linkLen is the length of the link header that the MTU does not count.
func linkLen(s sent, ether bool) int {
	n := s.frame.LinkHdrLen
	if n == 0 && ether && s.protocol == 0 {
		n = 14
	}
	if n == 14 && len(s.frame.Data) >= 18 && s.frame.Data[12] == 0x81 && s.frame.Data[13] == 0 {
		n = 18
	}
	return n
}

var lastOne = packettest.UDP{SrcPort: 9, DstPort: 9, Payload: []byte("the last one")}.Bytes()

func toMemlink(t *testing.T, o *outSpelling) {
	o.link = 0 // a memlink has none
	l := memlink.New(&memlink.Config{MTU: max(uint32(o.mtu), uint32(len(lastOne))), QueuePackets: 1 << 17, QueueBytes: 1 << 30})
	defer l.Close()
	e := endpoint.New(l, &endpoint.Config{Workers: 1})
	defer e.Close()
	e.Attach(&fakeNIC{})
	var list stack.PacketBufferList
	list.PushBack(o.packet())
	list.PushBack(bridged(packettest.Frame{Data: lastOne}, whole))
	defer list.Reset()
	if n, err := e.WritePackets(list); n != 2 || err != nil {
		t.Errorf("WritePackets gave %d, %v", n, err)
	}
	bufs, sizes := make([][]byte, 64), make([]int, 64)
	for i := range bufs {
		bufs[i] = make([]byte, l.MTU()) // one byte more does not fit
	}
	for {
		n, err := l.Read(bufs, sizes, 0)
		if err != nil || n == 0 {
			t.Fatalf("Read gave %d, %v with buffers of the MTU, %d", n, err, l.MTU())
		}
		if bytes.Equal(bufs[n-1][:sizes[n-1]], lastOne) {
			return
		}
	}
}
