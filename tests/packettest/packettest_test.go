// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// A packet written out by hand, so that the builder has something to answer to
// that is not code.
func TestTCPBytes(t *testing.T) {
	want, _ := hex.DecodeString("45020028" + "00074000" + "400626c5" + "0a000001" + "0a000002" + // checksums: Python's
		"9c4001bb" + "01020304" + "05060708" + "50180200" + "ebba0000")
	got := packettest.TCP{
		IP:  packettest.IP{ID: 7, DF: true, TOS: 2},
		Seq: 0x01020304, Ack: 0x05060708, Flags: packettest.ACK | packettest.PSH, Window: 0x200,
	}.Bytes()
	if d := packettest.DiffIP(got, want); d != "" {
		t.Error(d)
	}
}

// And a datagram.
func TestUDPBytes(t *testing.T) {
	want, _ := hex.DecodeString("4502001f" + "00074000" + "401126c3" + "0a000001" + "0a000002" + // checksums: Python's
		"9c400035" + "000b8afd" + "616263")
	u := packettest.UDP{IP: packettest.IP{ID: 7, DF: true, TOS: 2}, DstPort: 53, Payload: []byte("abc")}
	if d := packettest.DiffIP(u.Bytes(), want); d != "" {
		t.Error(d)
	}
	for name, tt := range map[string]struct {
		change func(u *packettest.UDP)
		sum    uint16
		valid  bool
	}{
		"no checksum": {func(u *packettest.UDP) { u.NoChecksum = true }, 0, false},
		"partial":     {func(u *packettest.UDP) { u.Partial = true }, 0x141f, false},
		"0xffff":      {func(u *packettest.UDP) { u.FFFF = true }, 0xffff, true},
		"bad":         {func(u *packettest.UDP) { u.BadChecksum = true }, 0xdffd, false},
		"right":       {func(u *packettest.UDP) {}, 0x8afd, true},
	} {
		v := u
		tt.change(&v)
		b := v.Bytes()
		if got := uint16(b[26])<<8 | uint16(b[27]); got != tt.sum || packettest.UDPValid(b, 20) != tt.valid {
			t.Errorf("%s: checksum %#04x, valid %v; want %#04x, %v", name, got, !tt.valid, tt.sum, tt.valid)
		}
	}
}

// Every burst that a test could rely on has what it is to test: datagrams in a
// burst of UDP, of one flow or of all, and none in others.
func TestBurstUDP(t *testing.T) {
	count := func(settings ...byte) (n int, merge bool) {
		for i := range byte(8) {
			settings = append(settings, i&3, 0, 0)
		}
		b := packettest.ParseBurst(settings)
		for _, a := range b.Arrivals {
			if a.Data[9] == 17 {
				n++
			}
		}
		return n, b.UDP
	}
	for _, tt := range []struct {
		name   string
		how, s byte
		n      int
		merge  bool
	}{
		{"none", 0, 0x40, 0, false},
		{"every other", 0x40, 0, 4, true},
		{"all", 0x40, 0x40, 8, true},
		{"all, not merging", 0x40, 0x60, 8, false},
	} {
		if n, merge := count(tt.how, tt.s, 128, 0); n != tt.n || merge != tt.merge {
			t.Errorf("%s: %d datagrams, UDP is %v", tt.name, n, merge)
		}
	}
}

// gVisor's checksums and ours must agree: the builders' own loop would otherwise
// be checked by nothing but packages that it is to check.
func TestChecksumsAgreeWithGVisor(t *testing.T) {
	for n := range 70 {
		payload := packettest.Stream(uint32(n), n)
		if got, want := packettest.Checksum(payload), ^checksum.Checksum(payload, 0); got != want {
			t.Fatalf("Checksum of %d bytes: got %#04x, want %#04x", n, got, want)
		}
		ip := header.IPv4(packettest.TCP{Payload: payload}.Bytes())
		tcp := header.TCP(ip.Payload())
		sum := checksum.Checksum(tcp.Payload(), 0)
		if !ip.IsChecksumValid() || !tcp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), sum, uint16(n)) {
			t.Fatalf("IPv4, %d bytes: a checksum that gVisor takes for wrong", n)
		}
		ip6 := header.IPv6(packettest.TCP{IP: packettest.IP{V6: true}, Payload: payload}.Bytes())
		tcp = header.TCP(ip6.Payload())
		if !tcp.IsChecksumValid(ip6.SourceAddress(), ip6.DestinationAddress(), sum, uint16(n)) {
			t.Fatalf("IPv6, %d bytes: a checksum that gVisor takes for wrong", n)
		}
		udp := packettest.UDP{IP: packettest.IP{V6: true}, Payload: payload}.Bytes()
		if !header.UDP(udp[40:]).IsChecksumValid(ip6.SourceAddress(), ip6.DestinationAddress(), sum) {
			t.Fatalf("UDP, %d bytes: a checksum that gVisor takes for wrong", n)
		}
	}
	icmp := header.ICMPv4(packettest.ICMP{Payload: []byte("ping")}.Bytes()[20:])
	if got := checksum.Checksum(icmp, 0); got != 0xffff {
		t.Errorf("ICMP: sum is %#04x", got)
	}
}

func TestFFFF(t *testing.T) {
	for _, n := range []int{2, 3, 100, 101} {
		ip := packettest.TCP{Payload: packettest.Stream(1, n), FFFF: true, IP: packettest.IP{FFFF: true}}.Bytes()
		if ip[10] != 0xff || ip[11] != 0xff || ip[36] != 0xff || ip[37] != 0xff {
			t.Fatalf("%d bytes: checksums are not stored as 0xffff", n)
		}
		if packettest.Checksum(ip[:20]) != 0 || !packettest.TCPValid(ip, 20) {
			t.Errorf("%d bytes: checksums are not valid", n)
		}
	}
}

func TestFrame(t *testing.T) {
	for _, tt := range []struct {
		name            string
		link            packettest.Link
		hdrLen, net     int
		protocol        uint16
		size, sizeIPv6  int
		wantEthertypeAt int
	}{
		{"bare IP", packettest.Link{}, 0, 0, 0x0800, 41, 61, -1},
		{"Ethernet", packettest.Link{Ethernet: true}, 14, 14, 0x0800, 55, 75, 12},
		{"VLAN", packettest.Link{Ethernet: true, VLAN: 5}, 14, 18, 0x8100, 59, 79, 16},
		{"padded", packettest.Link{Ethernet: true, Pad: 60}, 14, 14, 0x0800, 60, 75, 12},
		{"trailing", packettest.Link{Ethernet: true, Trailing: []byte{1}}, 14, 14, 0x0800, 56, 76, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := packettest.TCP{Link: tt.link, Payload: []byte{1}}.Frame()
			if f.LinkHdrLen != tt.hdrLen || f.NetOffset() != tt.net || f.Protocol != tt.protocol || len(f.Data) != tt.size {
				t.Errorf("got header %d, network offset %d, protocol %#04x, size %d", f.LinkHdrLen, f.NetOffset(), f.Protocol, len(f.Data))
			}
			if at := tt.wantEthertypeAt; at > 0 && !bytes.Equal(f.Data[at:at+2], []byte{8, 0}) {
				t.Errorf("ethertype: %x", f.Data[at:at+2])
			}
			if want := (packettest.TCP{Payload: []byte{1}}).Bytes(); !bytes.Equal(f.IP(), want) {
				t.Errorf("IP: %s", packettest.DiffIP(f.IP(), want))
			}
			if f := (packettest.TCP{Link: tt.link, IP: packettest.IP{V6: true}, Payload: []byte{1}}).Frame(); len(f.Data) != tt.sizeIPv6 {
				t.Errorf("IPv6 size: got %d, want %d", len(f.Data), tt.sizeIPv6)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	base := packettest.TCP{Link: packettest.Link{Ethernet: true}, IP: packettest.IP{ID: 8}, Payload: []byte("abc")}
	base6 := base
	base6.IP = packettest.IP{V6: true, Label: 5, Ext: []packettest.Ext{packettest.HopByHop(1)}}
	with := func(p packettest.TCP, f func(*packettest.TCP)) packettest.Frame { f(&p); return p.Frame() }
	for _, tt := range []struct {
		name      string
		got, want packettest.Frame
		message   string // the beginning of it
	}{
		{"equal", base.Frame(), base.Frame(), ""},
		{"IPv4 ID", with(base, func(p *packettest.TCP) { p.IP.ID = 7 }), base.Frame(), "IPv4 ID: got 7, want 8\n"},
		{"flow label", with(base6, func(p *packettest.TCP) { p.IP.Label = 6 }), base6.Frame(), "IPv6 flow label: got 6, want 5\n"},
		{"traffic class", with(base6, func(p *packettest.TCP) { p.IP.TOS = 2 }), base6.Frame(), "IPv6 traffic class: got 2, want 0\n"},
		{"window", with(base6, func(p *packettest.TCP) { p.Window = 9 }), base6.Frame(), "TCP window: got 9, want 0\n"},
		{"checksum last", with(base, func(p *packettest.TCP) { p.BadChecksum = true }), base.Frame(), "TCP checksum: got "},
		{"shorter", with(base, func(p *packettest.TCP) { p.Link.Trailing = []byte{1} }), base.Frame(), "length: got 58, want 57\n"},
		{"link header", with(base, func(p *packettest.TCP) { p.Link = packettest.Link{} }), base.Frame(), "frame: got link header of 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := packettest.Diff(tt.got, tt.want)
			if !strings.HasPrefix(got, tt.message) || (tt.message == "") != (got == "") {
				t.Errorf("got %q, want it to begin with %q", got, tt.message)
			}
		})
	}
}
