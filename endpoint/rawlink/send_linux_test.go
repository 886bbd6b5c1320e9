// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Without virtio_net_hdr nothing larger than the MTU leaves, and every segment is
// as it must be.
func TestSendSplits(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, ether := range []bool{false, true} {
			l, p := pair(t, rawlink.Config{Ethernet: ether, Address: ours}, &frames{})
			if !ether {
				l, p = pair(t, rawlink.Config{}, &frames{})
			}
			tcp := packettest.TCP{IP: packettest.IP{V6: v6, ID: 100}, Payload: packettest.Stream(0, 20000), Flags: packettest.ACK | packettest.PSH}
			go func() {
				if n, err := send(l, outgoing(tcp, 1400, ether), outgoing(packettest.TCP{IP: packettest.IP{V6: v6}}, 1400, ether)); n != 2 || err != nil {
					t.Errorf("%d packets, %v", n, err)
				}
			}()
			for i := range 15 {
				want := tcp
				want.IP.ID += uint16(i)
				want.Seq = uint32(i * 1400)
				want.Payload = tcp.Payload[i*1400 : min(20000, (i+1)*1400)]
				if i < 14 {
					want.Flags = packettest.ACK
				}
				got := p.receive()
				if ether {
					got = got[14:]
				}
				if d := packettest.DiffIP(got, want.Bytes()); d != "" {
					t.Fatalf("v6 %v, ether %v, segment %d: %s", v6, ether, i, d)
				}
			}
			got := p.receive()
			if ether {
				got = got[14:]
			}
			if d := packettest.DiffIP(got, packettest.TCP{IP: packettest.IP{V6: v6}}.Bytes()); d != "" {
				t.Fatalf("pure ACK: %s", d)
			}
			leak.Until(t, "counting", func() bool { return l.Stats().Sent == 16 })
		}
	}
}

// With virtio_net_hdr the packet goes down whole, and the header is right whatever
// is in front of TCP.
func TestSendVnetHdr(t *testing.T) {
	options := packettest.IP{Options: []byte{1, 1, 1, 0}}
	for _, tt := range []struct {
		name    string
		tcp     packettest.TCP
		mss     uint16
		ether   bool
		hdrLen  int // of virtio_net_hdr
		want    [6]uint16
		version byte
	}{
		{"IPv4", packettest.TCP{Payload: make([]byte, 60000)}, 1448, false, 10, [6]uint16{1, 1, 40, 1448, 20, 16}, 4},
		{"IPv6", packettest.TCP{IP: packettest.IP{V6: true}, Payload: make([]byte, 60000)}, 1428, false, 10, [6]uint16{1, 4, 60, 1428, 40, 16}, 6},
		{"Ethernet", packettest.TCP{Payload: make([]byte, 60000)}, 1448, true, 10, [6]uint16{1, 1, 54, 1448, 34, 16}, 4},
		{"12 bytes", packettest.TCP{Payload: make([]byte, 60000)}, 1448, true, 12, [6]uint16{1, 1, 54, 1448, 34, 16}, 4},
		{"TCP options", packettest.TCP{Payload: make([]byte, 60000), Options: packettest.Timestamp(1, 2)}, 1448, false, 10, [6]uint16{1, 1, 52, 1448, 20, 16}, 4},
		{"IP options", packettest.TCP{IP: options, Payload: make([]byte, 60000)}, 1400, false, 10, [6]uint16{1, 1, 44, 1400, 24, 16}, 4},
		{"largest", packettest.TCP{Payload: make([]byte, 65495)}, 1448, true, 10, [6]uint16{1, 1, 54, 1448, 34, 16}, 4},
		{"one segment", packettest.TCP{Payload: make([]byte, 1448)}, 1448, false, 10, [6]uint16{1, 0, 0, 0, 20, 16}, 4},
		{"pure ACK", packettest.TCP{}, 1448, false, 10, [6]uint16{1, 0, 0, 0, 20, 16}, 4},
		{"CWR", packettest.TCP{Payload: make([]byte, 3000), Flags: packettest.ACK | packettest.CWR}, 1448, false, 10, [6]uint16{1, 0x81, 40, 1448, 20, 16}, 4},
		{"segments larger than the MTU", packettest.TCP{Payload: make([]byte, 9000)}, 8000, false, 10, [6]uint16{1, 1, 40, 1460, 20, 16}, 4},
		{"no offload", packettest.TCP{Payload: make([]byte, 1000)}, 0, false, 10, [6]uint16{}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := rawlink.Config{VnetHdr: true, VnetHdrLen: tt.hdrLen, Ethernet: tt.ether}
			l, p := pair(t, cfg, &frames{})
			if n, err := send(l, outgoing(tt.tcp, tt.mss, tt.ether)); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			b := p.receive()
			got := [6]uint16{uint16(b[0]), uint16(b[1])}
			for i := range 4 {
				got[2+i] = binary.NativeEndian.Uint16(b[2+2*i:])
			}
			if got != tt.want {
				t.Errorf("header %v, want %v", got, tt.want)
			}
			tt.tcp.Partial = tt.mss > 0
			f := b[tt.hdrLen:]
			if tt.ether {
				f = f[14:]
			}
			if d := packettest.DiffIP(f, tt.tcp.Bytes()); d != "" {
				t.Error(d)
			}
			p.none()
		})
	}
}

// A segment size of 0 is split to the MTU, or sent as one segment where it fits.
func TestSendWithoutMSS(t *testing.T) {
	for _, vnet := range []bool{false, true} {
		l, p := pair(t, rawlink.Config{VnetHdr: vnet}, &frames{})
		super := outgoing(packettest.TCP{Payload: make([]byte, 3000)}, 1, false)
		super.GSOOptions.MSS = 0
		syn := outgoing(packettest.TCP{Flags: packettest.SYN}, 1, false)
		syn.GSOOptions.MSS = 0
		send(l, super, syn)
		if vnet {
			b := p.receive()
			if size := binary.NativeEndian.Uint16(b[4:]); size != 1460 || len(b) != 3050 {
				t.Errorf("segment size %d in %d bytes", size, len(b))
			}
			if b = p.receive(); b[1] != 0 || len(b) != 50 {
				t.Errorf("SYN: % x", b)
			}
			continue
		}
		for _, want := range []int{1500, 1500, 120, 40} {
			if b := p.receive(); len(b) != want || !packettest.TCPValid(b, 20) {
				t.Errorf("%d bytes, want %d", len(b), want)
			}
		}
	}
}

// What cannot be sent is dropped and counted, and what follows goes out.
func TestSendUnsplittable(t *testing.T) {
	for _, vnet := range []bool{false, true} {
		l, p := pair(t, rawlink.Config{VnetHdr: vnet}, &frames{})
		n, err := send(l,
			raw(packettest.UDP{Payload: make([]byte, 3000)}.Bytes()),
			raw(packettest.TCP{Payload: make([]byte, 3000), BadChecksum: true}.Bytes()),
			raw(bytes.Repeat([]byte{0xff}, 1501)),
			outgoing(packettest.TCP{}, 1448, false))
		if n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		p.receive()
		p.none()
		if s := l.Stats(); s.DroppedUnsplittable != 3 || s.Sent != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// A bridge's frames are not parsed. TCP larger than the MTU is split all the same.
func TestSendUnparsed(t *testing.T) {
	for _, vnet := range []bool{false, true} {
		l, p := pair(t, rawlink.Config{VnetHdr: vnet, Ethernet: true}, &frames{})
		tcp := packettest.TCP{Link: packettest.Link{Ethernet: true}, Payload: packettest.Stream(0, 3000)}
		fits := packettest.TCP{Link: packettest.Link{Ethernet: true}, Payload: packettest.Stream(0, 1460)}
		send(l, raw(tcp.Frame().Data), raw(fits.Frame().Data))
		for _, want := range []int{1514, 1514, 134, 1514} {
			b := p.receive()
			if vnet {
				b = b[10:]
			}
			if len(b) != want || !packettest.TCPValid(b[14:], 20) {
				t.Errorf("%d bytes, want %d with a right checksum", len(b), want)
			}
		}
	}
}

// A payload in more pieces than one system call takes is sent whole.
func TestSendManyPieces(t *testing.T) {
	l, p := pair(t, rawlink.Config{VnetHdr: true}, &frames{})
	tcp := packettest.TCP{Payload: packettest.Stream(0, 3000)}
	pkt := outgoing(packettest.TCP{Payload: tcp.Payload}, 1448, false)
	defer pkt.DecRef()
	head := append(append([]byte{}, pkt.NetworkHeader().Slice()...), pkt.TransportHeader().Slice()...)
	var all buffer.Buffer
	for i := range tcp.Payload {
		one := buffer.MakeWithData(tcp.Payload[i : i+1])
		all.Merge(&one)
	}
	many := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 40, Payload: all})
	copy(many.TransportHeader().Push(20), head[20:])
	copy(many.NetworkHeader().Push(20), head)
	many.GSOOptions = pkt.GSOOptions
	if n, err := send(l, many); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	tcp.Partial = true
	if d := packettest.DiffIP(p.receive()[10:], tcp.Bytes()); d != "" {
		t.Error(d)
	}
}

// A peer that does not read holds a sender up for a bounded time, once, and without
// spinning; when it reads again everything goes on.
func TestSendFull(t *testing.T) {
	for _, kind := range []int{unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		fd, p := socketpair(t, kind)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10)
		l := open(t, &rawlink.Config{FDs: []int{fd}})
		l.Attach(&frames{})
		list := func() (n int, took time.Duration) {
			start := time.Now()
			n, err := send(l, outgoing(packettest.TCP{Payload: make([]byte, 60000)}, 100, false))
			if err != nil {
				t.Error(err)
			}
			return n, time.Since(start)
		}
		if n, took := list(); n != 0 || took < 5*time.Millisecond {
			t.Errorf("%d packets in %v", n, took)
		}
		for range 100 {
			list()
		}
		s := l.Stats()
		if s.DroppedFull == 0 || s.Sent == 0 || s.Sent+s.DroppedFull != 101*600 {
			t.Errorf("%+v", s)
		}
		if s.Writes > 1100 { // 101 lists of 10 batches, and a few while it waits
			t.Errorf("%d writes: it waits again and again, or spins", s.Writes)
		}
		for range s.Sent {
			p.receive()
		}
		if n, err := send(l, outgoing(packettest.TCP{}, 100, false)); n != 1 || err != nil {
			t.Errorf("after reading: %d, %v", n, err)
		}
	}
}

// A sender who waits for room is woken by a reading peer and by Close.
func TestSendWaits(t *testing.T) {
	l, p := pair(t, rawlink.Config{}, &frames{})
	done := make(chan int, 1)
	go func() {
		n, _ := send(l, outgoing(packettest.TCP{Payload: make([]byte, 60000)}, 1000, false))
		done <- n
	}()
	for range 60 {
		p.receive()
	}
	if n := leak.Done(t, "sending", done); n != 1 {
		t.Errorf("%d, want 1", n)
	}
	go func() {
		for range 1000 {
			if _, err := send(l, outgoing(packettest.TCP{Payload: make([]byte, 60000)}, 1000, false)); err != nil {
				break
			}
		}
		done <- 0
	}()
	l.Close()
	leak.Done(t, "sending after Close", done)
}

// What is sent while nobody is attached is dropped; after Close it is an error.
func TestSendDetached(t *testing.T) {
	l, p := pair(t, rawlink.Config{}, &frames{})
	l.Attach(nil)
	if n, err := send(l, outgoing(packettest.TCP{}, 0, false)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	p.none()
	if s := l.Stats(); s.DroppedDetached != 1 {
		t.Errorf("%+v", s)
	}
	l.Close()
	if n, err := send(l, outgoing(packettest.TCP{}, 0, false)); n != 0 {
		t.Errorf("%d, %v", n, err)
	}
}
