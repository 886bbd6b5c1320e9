// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// datagram is a frame to the station under test.
func datagram(payload string) []byte {
	return packettest.UDP{Link: packettest.Link{Ethernet: true}, Payload: []byte(payload)}.Frame().Data
}

// vnet puts a header in front of a frame: flags, type, size, start, offset.
func vnet(frame []byte, h ...uint16) []byte {
	b := make([]byte, 10, 10+len(frame))
	for i, v := range h {
		switch i {
		case 0, 1:
			b[i] = byte(v)
		default:
			binary.NativeEndian.PutUint16(b[2*i-2:], v)
		}
	}
	return append(b, frame...)
}

// Frames of every kind go up as they came, in order; what nobody can want is
// dropped and counted, and the link goes on.
func TestReceiveBadInput(t *testing.T) {
	good := datagram("first")
	unknown := append(append([]byte{}, good[:12]...), 0x88, 0xb5, 1, 2, 3)
	length := append(append([]byte{}, good[:12]...), 0, 3, 1, 2, 3) // IEEE 802.3
	bare := good[:14]
	multicast := append([]byte{1, 0, 0x5e, 0, 0, 1}, good[6:]...)
	tagged := packettest.UDP{Link: packettest.Link{Ethernet: true, VLAN: 3}}.Frame().Data
	foreign := append([]byte{2, 9, 9, 9, 9, 9}, good[6:]...)
	largest := append(append([]byte{}, good[:14]...), make([]byte, 1504)...)
	tooLarge := append(append([]byte{}, largest...), 0)
	huge := append(append([]byte{}, good[:14]...), make([]byte, 65000)...)
	garbage := bytes.Repeat([]byte{0xff}, 60)

	for _, kind := range []int{unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		d := &frames{}
		fd, p := socketpair(t, kind)
		l := open(t, &rawlink.Config{FDs: []int{fd}, Ethernet: true, Address: ours})
		l.Attach(d)
		var want [][]byte
		pass := func(f []byte) { p.send(f); want = append(want, f) }
		pass(good)
		p.send([]byte{}, []byte{1}, good[:13])
		pass(unknown)
		pass(length)
		pass(bare)
		p.send(foreign)
		pass(multicast)
		pass(tagged)
		pass(largest)
		p.send(tooLarge, huge)
		pass(garbage)
		p.send(foreign)
		pass(datagram("last"))
		for i, f := range d.take(t, len(want)) {
			if !bytes.Equal(f.Data, want[i]) || f.LinkHdrLen != 14 || f.Protocol != header.Ethernet(want[i]).Type() {
				t.Errorf("frame %d: %+v, want %x", i, f, want[i])
			}
		}
		s := l.Stats()
		if s.DroppedRunt != 3 || s.DroppedForeign != 2 || s.DroppedOversize != 2 || s.Received != uint64(len(want))+7 || s.Delivered != uint64(len(want)) {
			t.Errorf("%+v", s)
		}
	}
}

// Without Ethernet the version tells the protocol.
func TestReceiveIP(t *testing.T) {
	d := &frames{}
	l, p := pair(t, rawlink.Config{}, d)
	v4, v6 := packettest.TCP{}.Bytes(), packettest.TCP{IP: packettest.IP{V6: true}}.Bytes()
	p.send(v4, []byte{0}, []byte{0x70, 1, 2}, []byte{}, v6, []byte{0x45})
	got := d.take(t, 3)
	if got[0].Protocol != header.IPv4ProtocolNumber || got[1].Protocol != header.IPv6ProtocolNumber || !bytes.Equal(got[1].Data, v6) {
		t.Errorf("%+v", got)
	}
	if s := l.Stats(); s.DroppedNotIP != 2 || s.DroppedRunt != 1 {
		t.Errorf("%+v", s)
	}
}

// What waits is delivered as batches of at most 64 frames.
func TestReceiveBatches(t *testing.T) {
	fd, p := socketpair(t, unix.SOCK_SEQPACKET)
	n := 0 // net.unix.max_dgram_qlen decides how many wait
	for n < 200 && unix.Send(p.fd, datagram(fmt.Sprint(n)), unix.MSG_DONTWAIT) == nil {
		n++
	}
	d := &frames{}
	l := open(t, &rawlink.Config{FDs: []int{fd}, Ethernet: true, Address: ours})
	l.Attach(d)
	got := d.take(t, n)
	for i, f := range got {
		if !bytes.Equal(f.Data, datagram(fmt.Sprint(i))) {
			t.Fatalf("frame %d is another", i)
		}
	}
	if want := min(n, 64); d.batches[0] != want {
		t.Errorf("batches %v, want the first to be %d", d.batches, want)
	}
}

// A larger MTU holds for the frames that come after.
func TestReceiveAfterSetMTU(t *testing.T) {
	d := &frames{}
	l, p := pair(t, rawlink.Config{}, d)
	jumbo := packettest.TCP{Payload: make([]byte, 8000)}.Bytes()
	p.send(jumbo)
	leak.Until(t, "the drop", func() bool { return l.Stats().DroppedOversize == 1 })
	l.SetMTU(9000)
	p.send([]byte{0x45}) // ends the read that has the old size
	d.take(t, 1)
	p.send(jumbo)
	if got := d.take(t, 1); len(got[0].Data) != len(jumbo) {
		t.Errorf("%d bytes, want %d", len(got[0].Data), len(jumbo))
	}
}

// The header's word becomes the frame's label, and a header that lies costs only its
// own frame. To split is the endpoint's, UDP too.
func TestReceiveVnetHdr(t *testing.T) {
	d := &frames{}
	l, p := pair(t, rawlink.Config{VnetHdr: true}, d)
	super := packettest.TCP{Payload: packettest.Stream(0, 60000), Partial: true}.Bytes()
	udp := packettest.UDP{Payload: make([]byte, 3000), Partial: true}.Bytes()
	small := packettest.TCP{}.Bytes()
	largest := packettest.TCP{Payload: make([]byte, 65535-40)}.Bytes()
	p.send(
		vnet(small),
		vnet(super, 1, 1, 40, 1448, 20, 16),
		vnet(small, 1, 0, 0, 0, 20, 16),
		vnet(small, 2),
		vnet(super, 1, 1, 40, 0, 20, 16),    // no segment size
		vnet(super, 1, 1, 40, 1448, 61000),  // csum_start beyond the frame
		vnet(super, 1, 3, 40, 1448, 20, 16), // not asked for
		vnet(small)[:10], vnet(small)[:3], []byte{},
		vnet(udp, 1, 5, 28, 1000, 20, 6),
		vnet(largest, 1, 1, 40, 1448, 20, 16),
		append(vnet(largest, 1, 1, 40, 1448, 20, 16), make([]byte, 10)...), // larger than IP can be
		vnet(small),
	)
	got := d.take(t, 7)
	check := func(i int, gso stack.GSOType, size uint16, sum endpoint.ChecksumState, n int) {
		t.Helper()
		if f := got[i]; f.GSOType != gso || f.GSOSize != size || f.Checksum != sum || len(f.Data) != n {
			t.Errorf("frame %d: type %v, size %d, checksum %v, %d bytes", i, f.GSOType, f.GSOSize, f.Checksum, len(f.Data))
		}
	}
	check(0, 0, 0, endpoint.ChecksumNone, len(small))
	check(1, stack.GSOTCPv4, 1448, endpoint.ChecksumPartial, len(super))
	check(2, 0, 0, endpoint.ChecksumPartial, len(small))
	check(3, 0, 0, endpoint.ChecksumVerified, len(small))
	check(4, 0, 1000, endpoint.ChecksumPartial, len(udp))
	check(5, stack.GSOTCPv4, 1448, endpoint.ChecksumPartial, 65535)
	check(6, 0, 0, endpoint.ChecksumNone, len(small))
	if s := l.Stats(); s.DroppedVnetHdr != 3 || s.DroppedRunt != 3 || s.DroppedOversize != 1 || s.Super != 3 || s.Split != 0 {
		t.Errorf("%+v", s)
	}
}

// A dispatcher that takes no frames gets packets as from a wire, with checksums
// that are right.
func TestReceiveWithoutEndpoint(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		d := &packets{}
		l, p := pair(t, rawlink.Config{VnetHdr: true}, d)
		tcp := packettest.TCP{IP: packettest.IP{V6: v6, ID: 7}, Payload: packettest.Stream(0, 60000), Partial: true}
		kind, start := uint16(1), 20
		if v6 {
			kind, start = 4, 40
		}
		super := tcp.Bytes()
		tcp.Payload = nil
		p.send(vnet(super, 1, kind, 0, 1000, uint16(start), 16), vnet(tcp.Bytes(), 1, 0, 0, 0, uint16(start), 16))
		got := d.take(t, 61)
		for i, f := range got[:60] {
			want := packettest.TCP{IP: packettest.IP{V6: v6, ID: 7 + uint16(i)}, Seq: uint32(i * 1000), Payload: packettest.Stream(uint32(i*1000), 1000)}
			if diff := packettest.DiffIP(f.Data, want.Bytes()); diff != "" {
				t.Fatalf("packet %d: %s", i, diff)
			}
		}
		if !packettest.TCPValid(got[60].Data, start) {
			t.Error("the checksum of the last packet is wrong")
		}
		if s := l.Stats(); s.Split != 1 || s.Delivered != 61 {
			t.Errorf("%+v", s)
		}
	}
}

// Each dispatcher gets what it takes, however they take turns.
func TestReceiveAfterChange(t *testing.T) {
	f, bare := &frames{}, &packets{}
	l, p := pair(t, rawlink.Config{VnetHdr: true}, f)
	super := vnet(packettest.TCP{Payload: make([]byte, 3000), Partial: true}.Bytes(), 1, 1, 40, 1000, 20, 16)
	for range 3 {
		p.send(super)
		f.take(t, 1)
		l.Attach(bare)
		p.send(super)
		bare.take(t, 3)
		l.Attach(f)
	}
}

// One of UDP becomes the datagrams that were sent, behind any link header.
func TestReceiveUDPWithoutEndpoint(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, link := range []packettest.Link{{}, {Ethernet: true}, {Ethernet: true, VLAN: 5}} {
			d := &packets{}
			l, p := pair(t, rawlink.Config{VnetHdr: true, Ethernet: link.Ethernet, Address: ours}, d)
			payload := packettest.Stream(1, 4100)
			super := packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff}, Payload: payload, Partial: true}.Frame()
			start := super.NetOffset() + 20
			if v6 {
				start += 20
			}
			p.send(vnet(super.Data, 1, 5, 0, 1000, uint16(start), 6), vnet(super.Data, 1, 5, 0, 5000, uint16(start), 6))
			got := d.take(t, 6)
			for i, f := range got {
				want := packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff + uint16(i)}, Payload: payload[min(4100, i*1000):min(4100, (i+1)*1000)]}.Frame()
				if i == 5 { // one datagram, whatever the header says
					want = packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff}, Payload: payload}.Frame()
				}
				if diff := packettest.Diff(packettest.Frame{Data: f.Data, LinkHdrLen: f.LinkHdrLen, Protocol: uint16(f.Protocol)}, want); diff != "" {
					t.Errorf("v6 %v, link %+v, datagram %d: %s", v6, link, i, diff)
				}
			}
			if s := l.Stats(); s.Split != 1 || s.Super != 2 || s.Delivered != 6 {
				t.Errorf("%+v", s)
			}
		}
	}
}

// What splitting would make worse, and what is no super-packet, is dropped.
func TestReceiveUnsplittableWithoutEndpoint(t *testing.T) {
	bad := packettest.TCP{Payload: make([]byte, 5000), BadChecksum: true}.Bytes()
	udp := packettest.UDP{Payload: make([]byte, 5000), Partial: true}.Bytes()
	short := packettest.UDP{Payload: make([]byte, 5000), Partial: true, LengthDelta: -1}.Bytes()
	neither := packettest.TCP{IP: packettest.IP{V6: true}, Payload: make([]byte, 5000)}.Bytes()
	neither[6] = 59 // no next header
	for _, vouched := range []bool{false, true} {
		d := &packets{}
		l, p := pair(t, rawlink.Config{VnetHdr: true, RXChecksumOffload: vouched}, d)
		p.send(
			vnet(udp, 1, 5, 0, 39, 20, 6), // more than 128 datagrams
			vnet(short, 1, 5, 0, 1000, 20, 6),
			vnet(neither, 0, 4, 0, 1000),
			vnet(bad, 0, 1, 0, 1000),
			vnet(bad, 2, 1, 0, 1000), // the device has verified it
		)
		want := 5
		if vouched {
			want = 10
		}
		d.take(t, want)
		if s := l.Stats(); s.DroppedVnetHdr != uint64(5-want/5) {
			t.Errorf("%+v", s)
		}
	}
}

// A segment size of one byte makes many packets, but no trouble; too many are
// dropped.
func TestReceiveTinySegments(t *testing.T) {
	d := &packets{}
	l, p := pair(t, rawlink.Config{VnetHdr: true}, d)
	super := packettest.TCP{Payload: packettest.Stream(0, 6000), Partial: true}.Bytes()
	flood := packettest.TCP{Payload: packettest.Stream(0, 65535-40), Partial: true}.Bytes()
	p.send(vnet(flood, 1, 1, 40, 1, 20, 16), vnet(flood, 1, 1, 40, 7, 20, 16), vnet(super, 1, 1, 40, 1, 20, 16))
	for i, f := range d.take(t, 6000) {
		if len(f.Data) != 41 || f.Data[40] != super[40+i] {
			t.Fatalf("packet %d: %x", i, f.Data)
		}
	}
	if s := l.Stats(); s.DroppedVnetHdr != 2 {
		t.Errorf("%+v", s)
	}
}

// With Promiscuous, and only then, frames for other stations go up; those for groups
// say so.
func TestReceivePromiscuous(t *testing.T) {
	good := datagram("for us")
	multicast := append([]byte{1, 0, 0x5e, 0, 0, 1}, good[6:]...)
	foreign := append([]byte{2, 9, 9, 9, 9, 9}, good[6:]...)
	everybody := append([]byte{255, 255, 255, 255, 255, 255}, good[6:]...)
	tcp := packettest.TCP{Link: packettest.Link{Ethernet: true}, Payload: make([]byte, 3000), Partial: true}.Frame().Data
	super := append([]byte{2, 9, 9, 9, 9, 9}, tcp[6:]...)
	for _, promiscuous := range []bool{false, true} {
		for _, bare := range []bool{false, true} {
			f := &frames{}
			var d stack.NetworkDispatcher = f
			if bare {
				d = &f.packets
			}
			l, peer := pair(t, rawlink.Config{VnetHdr: true, Ethernet: true, Address: ours, Promiscuous: promiscuous}, d)
			peer.send(vnet(good), vnet(foreign), vnet(multicast), vnet(everybody), vnet(super, 1, 1, 0, 1000, 34, 16), vnet(good))
			host, group := tcpip.PacketHost, tcpip.PacketMulticast
			want := []tcpip.PacketType{host, group, tcpip.PacketBroadcast, host}
			switch {
			case promiscuous && bare:
				want = []tcpip.PacketType{host, host, group, tcpip.PacketBroadcast, host, host, host, host}
			case promiscuous:
				want = []tcpip.PacketType{host, host, group, tcpip.PacketBroadcast, host, host}
			}
			for i, got := range f.take(t, len(want)) {
				if got.PktType != want[i] {
					t.Errorf("promiscuous %v, bare %v, frame %d: type %v, want %v", promiscuous, bare, i, got.PktType, want[i])
				}
			}
			dropped := uint64(2)
			if promiscuous {
				dropped = 0
			}
			if s := l.Stats(); s.DroppedForeign != dropped {
				t.Errorf("%+v", s)
			}
		}
	}
}
