// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// What GRO merged, GSO splits into the same frames.
func TestSplitMerged(t *testing.T) {
	gro, gso := opened(t, OpenGRO), opened(t, OpenGSO)
	for name, burst := range map[string][][]byte{
		"TCP":       segments(45, nil),
		"TCP, IPv6": segments(64, func(i int, s *packettest.TCP) { s.IP.V6 = true }),
		"extension headers": segments(3, func(i int, s *packettest.TCP) {
			s.IP.V6, s.IP.Ext = true, []packettest.Ext{packettest.HopByHop(0), packettest.DestinationOptions(1)}
		}),
		"options and a short last": segments(9, func(i int, s *packettest.TCP) {
			s.Options, s.Payload = packettest.Timestamp(1, 2), s.Payload[:size-i/8]
		}),
		"UDP":       datagrams(64, nil),
		"UDP, IPv6": datagrams(64, func(i int, d *packettest.UDP) { d.IP.V6 = true }),
	} {
		merged, err := gro.Merge(burst)
		if err != nil || len(merged) != 1 {
			t.Fatalf("%s: merged into %d, %v", name, len(merged), err)
		}
		got, err := gso.Split(merged[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		same(t, name, got, burst)
	}
}

func same(t *testing.T, name string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d frames, want %d", name, len(got), len(want))
		return
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: frame %d: %s", name, i, packettest.DiffIP(got[i][14:], want[i][14:]))
		}
	}
}

// super is a super-packet of n bytes of payload as a sender hands it down.
func super(n int, change func(s *packettest.TCP)) Frame {
	s := packettest.TCP{Link: packettest.Link{Ethernet: true}, IP: packettest.IP{ID: 7}, Payload: packettest.Stream(0, n), Partial: true}
	if change != nil {
		change(&s)
	}
	f := Frame{Data: s.Frame().Data, GSOType: GSOTCPv4, GSOSize: size, NeedsCsum: true, CsumStart: 34, CsumOffset: 16}
	if s.IP.V6 {
		f.GSOType, f.CsumStart = GSOTCPv6, 54
	}
	if s.Link.VLAN != 0 {
		f.CsumStart += 4
	}
	return f
}

func TestSplitFlags(t *testing.T) {
	g := opened(t, OpenGSO)
	const all = packettest.ACK | packettest.FIN | packettest.PSH | packettest.CWR | packettest.ECE
	want := []uint8{packettest.ACK | packettest.ECE | packettest.CWR, packettest.ACK | packettest.ECE, all &^ packettest.CWR}
	for _, v6 := range []bool{false, true} {
		for _, ecn := range []bool{false, true} {
			f := super(250, func(s *packettest.TCP) { s.IP.V6, s.Flags = v6, all })
			f.ECN = ecn
			got, err := g.Split(f)
			if err != nil || len(got) != len(want) {
				t.Fatal(len(got), err)
			}
			for i, s := range got {
				if flags := s[f.CsumStart+13]; flags != want[i] {
					t.Errorf("IPv6 %v, ECN %v, segment %d: flags %#x, want %#x", v6, ecn, i, flags, want[i])
				}
			}
		}
	}
}

func TestSplitVLAN(t *testing.T) {
	g := opened(t, OpenGSO)
	tagged := func(s *packettest.TCP) { s.Link.VLAN = 0xe005 }
	got, err := g.Split(super(3*size, tagged))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "tagged", got, segments(3, func(i int, s *packettest.TCP) { tagged(s) }))
}

func TestSplitOne(t *testing.T) {
	g := opened(t, OpenGSO)
	whole := super(size, func(s *packettest.TCP) { s.Partial = false })
	partial := super(size, nil)
	partial.GSOType, partial.GSOSize = GSONone, 0
	plain := Frame{Data: whole.Data}
	for name, f := range map[string]Frame{"completed": partial, "as it was": plain} {
		got, err := g.Split(f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		same(t, name, got, [][]byte{whole.Data})
	}
}

func TestSplitMost(t *testing.T) {
	g := opened(t, OpenGSO)
	f := super(65000, nil)
	f.GSOSize = 1
	got, err := g.Split(f)
	if err != nil || len(got) != 65000 {
		t.Error(len(got), err)
	}
}

func TestSplitRefused(t *testing.T) {
	g := opened(t, OpenGSO)
	noSize := super(250, nil)
	noSize.GSOSize = 0
	outside := super(250, nil)
	outside.CsumStart = 60000
	noAddress := super(250, nil)
	clear(noAddress.Data[6:12])
	ethernet := passing()["header only"]
	for name, c := range map[string]struct {
		f    Frame
		want error
	}{
		"no segment size":  {noSize, ErrRefused},
		"checksum outside": {outside, ErrRefused},
		"from no address":  {noAddress, ErrDropped},
		"of MaxBridged":    {Frame{Data: append(ethernet, make([]byte, MaxBridged-14)...)}, nil},
		"larger":           {Frame{Data: append(ethernet, make([]byte, MaxBridged-13)...)}, ErrDropped},
	} {
		got, err := g.Split(c.f)
		if !errors.Is(err, c.want) || (c.want == nil) != (len(got) == 1) {
			t.Errorf("%s: %d frames, %v", name, len(got), err)
		}
	}
}
