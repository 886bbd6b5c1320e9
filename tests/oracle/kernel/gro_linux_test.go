// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// opened skips a test for which rights are missing.
func opened[T io.Closer](t testing.TB, open func() (T, error)) T {
	t.Helper()
	o, err := open()
	if errors.Is(err, ErrPrivilege) {
		t.Skipf("needs privilege: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

const size = 100

// segments are TCP segments in sequence, each changed by change.
func segments(n int, change func(i int, s *packettest.TCP)) (burst [][]byte) {
	for i := range n {
		s := packettest.TCP{Link: packettest.Link{Ethernet: true}, Seq: uint32(i * size), Payload: packettest.Stream(uint32(i*size), size)}
		s.IP.ID = uint16(7 + i)
		if change != nil {
			change(i, &s)
		}
		burst = append(burst, s.Frame().Data)
	}
	return burst
}

func datagrams(n int, change func(i int, d *packettest.UDP)) (burst [][]byte) {
	for i := range n {
		d := packettest.UDP{Link: packettest.Link{Ethernet: true}, Payload: packettest.Stream(uint32(i*size), size)}
		d.IP.ID = uint16(7 + i)
		if change != nil {
			change(i, &d)
		}
		burst = append(burst, d.Frame().Data)
	}
	return burst
}

func TestMerge(t *testing.T) {
	g := opened(t, OpenGRO)
	tcp4 := Frame{GSOType: GSOTCPv4, GSOSize: size, NeedsCsum: true, CsumStart: 34, CsumOffset: 16}
	tcp6 := Frame{GSOType: GSOTCPv6, GSOSize: size, NeedsCsum: true, CsumStart: 54, CsumOffset: 16}
	udp4 := Frame{GSOType: GSOUDP, GSOSize: size, NeedsCsum: true, CsumStart: 34, CsumOffset: 6}
	udp6 := Frame{GSOType: GSOUDP, GSOSize: size, NeedsCsum: true, CsumStart: 54, CsumOffset: 6}
	alone := Frame{}
	type leaving struct {
		packets int
		kind    Frame
	}
	for _, c := range []struct {
		name  string
		burst [][]byte
		want  []leaving
	}{
		{"nothing", nil, nil},
		{"one", segments(1, nil), []leaving{{1, alone}}},
		{"two", segments(2, nil), []leaving{{2, tcp4}}},
		{"a whole poll", segments(64, nil), []leaving{{64, tcp4}}},
		{"IPv6", segments(3, func(i int, s *packettest.TCP) { s.IP.V6 = true }), []leaving{{3, tcp6}}},
		{"UDP", datagrams(3, nil), []leaving{{3, udp4}}},
		{"UDP, IPv6", datagrams(3, func(i int, d *packettest.UDP) { d.IP.V6 = true }), []leaving{{3, udp6}}},
		{"PSH", segments(5, func(i int, s *packettest.TCP) {
			if i == 2 {
				s.Flags = packettest.ACK | packettest.PSH
			}
		}), []leaving{{3, tcp4}, {2, tcp4}}},
		{"a short last", segments(3, func(i int, s *packettest.TCP) { s.Payload = s.Payload[:size-i/2] }), []leaving{{3, tcp4}}},
		{"a gap", segments(3, func(i int, s *packettest.TCP) { s.Seq += uint32(i / 2) }), []leaving{{2, tcp4}, {1, alone}}},
		{"two flows", segments(6, func(i int, s *packettest.TCP) {
			s.SrcPort, s.Seq, s.IP.ID = uint16(1+i%2), uint32(i/2*size), uint16(i/2)
		}), []leaving{{3, tcp4}, {3, tcp4}}},
		{"a bad checksum overtakes", segments(3, func(i int, s *packettest.TCP) { s.BadChecksum = i == 1 }),
			[]leaving{{1, alone}, {1, alone}, {1, alone}}},
	} {
		got, err := g.Merge(c.burst)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d frames, want %d", c.name, len(got), len(c.want))
			continue
		}
		for i, f := range got {
			kind := f
			kind.Data = nil
			if w := c.want[i]; f.Packets() != w.packets || kind.GSOType != w.kind.GSOType || kind.GSOSize != w.kind.GSOSize ||
				kind.ECN || kind.NeedsCsum != w.kind.NeedsCsum || kind.CsumStart != w.kind.CsumStart || kind.CsumOffset != w.kind.CsumOffset {
				t.Errorf("%s: frame %d stands for %d packets, want %d: %+v", c.name, i, f.Packets(), w.packets, kind)
			}
		}
	}
}

func TestMergeBytes(t *testing.T) {
	g := opened(t, OpenGRO)
	got, err := g.Merge(segments(3, nil))
	if err != nil || len(got) != 1 {
		t.Fatal(len(got), err)
	}
	s := packettest.TCP{Link: packettest.Link{Ethernet: true}, IP: packettest.IP{ID: 7}, Payload: packettest.Stream(0, 3*size), Partial: true}
	if diff := packettest.DiffIP(got[0].Data[14:], s.Bytes()); diff != "" {
		t.Error(diff)
	}
}

// passing are frames that come back as they were, alone and after a run that is held.
func passing() map[string][]byte {
	eth := packettest.Link{Ethernet: true}
	payload := packettest.Stream(0, size)
	v6 := func(ext ...packettest.Ext) []byte {
		return packettest.TCP{Link: eth, IP: packettest.IP{V6: true, Ext: ext}, Payload: payload}.Frame().Data
	}
	frame := func(kind uint16, n int) []byte {
		b := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8}, byte(kind>>8), byte(kind))
		return append(b, bytes.Repeat([]byte{0x45}, n)...)
	}
	return map[string][]byte{
		"header only":          frame(0x0800, 0),
		"IPv6 header only":     frame(0x86dd, 0),
		"one byte":             frame(0x0800, 1),
		"unknown type":         frame(0x9999, 50),
		"802.3 length":         frame(40, 46),
		"MPLS":                 frame(0x8847, 50),
		"ARP":                  frame(0x0806, 28),
		"noise as IPv4":        frame(0x0800, 200),
		"noise as IPv6":        frame(0x86dd, 200),
		"shortest tagged":      frame(0x8100, 6),
		"two tags":             frame(0x88a8, 60),
		"IPv4 options":         packettest.TCP{Link: eth, IP: packettest.IP{Options: make([]byte, 8)}, Payload: payload}.Frame().Data,
		"IPv4 bad checksum":    packettest.TCP{Link: eth, IP: packettest.IP{BadChecksum: true}, Payload: payload}.Frame().Data,
		"IPv4 length":          packettest.TCP{Link: eth, IP: packettest.IP{LengthDelta: 9}, Payload: payload}.Frame().Data,
		"IPv4 first fragment":  packettest.TCP{Link: eth, IP: packettest.IP{MF: true}, Payload: payload}.Frame().Data,
		"IPv4 last fragment":   packettest.UDP{Link: eth, IP: packettest.IP{FragmentOffset: 30}, Payload: payload}.Frame().Data,
		"TCP data offset":      packettest.TCP{Link: eth, Offset: 15, Payload: payload[:8]}.Frame().Data,
		"TCP bad checksum":     packettest.TCP{Link: eth, BadChecksum: true, Payload: payload}.Frame().Data,
		"UDP without checksum": packettest.UDP{Link: eth, NoChecksum: true, Payload: payload}.Frame().Data,
		"UDP length":           packettest.UDP{Link: eth, LengthDelta: -3, Payload: payload}.Frame().Data,
		"padding":              packettest.TCP{Link: packettest.Link{Ethernet: true, Pad: 60}, Payload: payload[:1]}.Frame().Data,
		"trailing bytes":       packettest.TCP{Link: packettest.Link{Ethernet: true, Trailing: payload}, Payload: payload}.Frame().Data,
		"IPv6 Hop-by-Hop":      v6(packettest.HopByHop(0)),
		"IPv6 Routing":         v6(packettest.Routing(1), packettest.DestinationOptions(3)),
		"IPv6 Fragment":        v6(packettest.Fragment(0, true, 1)),
		"IPv6 atomic fragment": v6(packettest.HopByHop(0), packettest.Fragment(0, false, 1)),
		"tag":                  packettest.TCP{Link: packettest.Link{Ethernet: true, VLAN: 0xe005}, Payload: payload}.Frame().Data,
		"priority tag":         packettest.TCP{Link: packettest.Link{Ethernet: true, VLAN: 0xe000}, Payload: payload}.Frame().Data,
		"largest":              packettest.TCP{Link: eth, Payload: make([]byte, 65535-40)}.Frame().Data,
		"largest with a tag":   packettest.TCP{Link: packettest.Link{Ethernet: true, VLAN: 1}, Payload: make([]byte, 65535-40)}.Frame().Data,
	}
}

func TestPass(t *testing.T) {
	g := opened(t, OpenGRO)
	run := segments(2, func(i int, s *packettest.TCP) { s.SrcPort = 5 })
	for name, frame := range passing() {
		for _, before := range [][][]byte{nil, run} {
			got, err := g.Merge(append(before, frame))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found := false
			for _, f := range got {
				found = found || bytes.Equal(f.Data, frame) && f.GSOType == GSONone && !f.NeedsCsum && f.CsumStart == 0
			}
			if !found || len(got) != 1+len(before)/2 {
				t.Errorf("%s, behind %d: does not come back as it was: %d frames", name, len(before), len(got))
			}
		}
	}
	burst := slices.Repeat([][]byte{passing()["largest"]}, MaxBurst)
	got, err := g.Merge(burst)
	if err != nil || len(got) != len(burst) {
		t.Errorf("%d of the largest: %d come back, %v", len(burst), len(got), err)
	}
}

// Tagged frames merge in kernels that have CONFIG_VLAN_8021Q.
func TestMergeVLAN(t *testing.T) {
	g := opened(t, OpenGRO)
	burst := segments(2, func(i int, s *packettest.TCP) { s.Link.VLAN = 0xe005 })
	got, err := g.Merge(burst)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range got {
		if !bytes.Equal(f.Data[:18], burst[0][:18]) {
			t.Errorf("frame %d begins with %x, want %x", i, f.Data[:18], burst[0][:18])
		}
		if len(got) == 1 && (f.CsumStart != 38 || f.Packets() != 2) {
			t.Errorf("merged: %+v", f)
		}
	}
	t.Logf("two tagged frames became %d", len(got))
}

// What the kernel swallows leaves no trace in later answers.
func TestSwallowed(t *testing.T) {
	g := opened(t, OpenGRO)
	run := segments(3, nil)
	short := passing()["shortest tagged"][:19]
	for range 20 {
		got, err := g.Merge(append([][]byte{short}, run...))
		if err != nil || len(got) != 1 || got[0].Packets() != 3 {
			t.Fatal(len(got), err)
		}
		// As if one were awaited that does not come.
		err = g.thread.do(func() error {
			if _, err := g.source.write(run); err != nil {
				return err
			}
			got, err = g.source.collect(append(run, run...), g.socket)
			return err
		})
		if err != nil || len(got) != 1 || got[0].Packets() != 3 {
			t.Fatal(len(got), err)
		}
	}
}

func TestErrors(t *testing.T) {
	g := opened(t, OpenGRO)
	for name, burst := range map[string][][]byte{
		"too many":  make([][]byte, MaxBurst+1),
		"too short": {make([]byte, 13)},
		"too long":  {make([]byte, MaxFrame+1)},
	} {
		if _, err := g.Merge(burst); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for range 2 {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := g.Merge(segments(1, nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
