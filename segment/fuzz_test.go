// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"math/rand/v2"
	"testing"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// job is a packet and how to send it, spelt by a few bytes.
type job struct {
	pkt []byte
	o   segment.Options
}

// parseJob reads settings from the first 16 bytes: packet (0-7), options
// (8-13), a byte to spoil (14-15). With the top bit of the first set, what
// follows is the packet itself. 0x10 of the options makes it one of UDP.
func parseJob(b []byte) job {
	if len(b) < 16 {
		return job{}
	}
	s, rest := b[:16], b[16:]
	j := job{o: segment.Options{
		SegmentSize: int(s[8])<<8 | int(s[9]),
		MTU:         int(s[10])<<8 | int(s[11]),
		FixedID:     s[12]&1 != 0,
		Partial:     s[12]&2 != 0,
		LinkHdrLen:  []int{0, 14, 18, 3}[s[12]>>2&3],
	}}
	if s[13] == 255 {
		j.o.SegmentSize, j.o.MTU = -j.o.SegmentSize, -j.o.MTU
	}
	if s[0]&0x80 != 0 {
		j.pkt = rest
		return j
	}
	t := jobTCP(s, j.o.Partial)
	ip := t.Bytes()
	if s[12]&0x10 != 0 {
		ip = jobUDP(s, t).Bytes()
	}
	j.pkt = append(make([]byte, j.o.LinkHdrLen), ip...)
	if at := int(s[14]); s[13]&1 != 0 && at < len(j.pkt) {
		j.pkt[at] ^= s[15]
	}
	if s[13]&2 != 0 {
		j.pkt = j.pkt[:len(j.pkt)*int(s[15])/256]
	}
	return j
}

func jobTCP(s []byte, partial bool) packettest.TCP {
	t := packettest.TCP{
		IP:      packettest.IP{V6: s[0]&1 != 0, ID: 0xfffe, DF: s[0]&2 != 0, TOS: s[5]},
		Flags:   s[1],
		Options: make([]byte, s[2]%11*4),
		Seq:     0xfffffc00,
		Window:  uint16(s[5]), Urgent: uint16(s[6]), AE: s[0]&4 != 0, Reserved: s[7],
		Payload: packettest.Stream(1, int(s[3])<<8|int(s[4])),
		Partial: partial,
	}
	t.Payload = t.Payload[:min(len(t.Payload), 65535-40-40-60-64)]
	if t.IP.V6 && s[0]&8 != 0 {
		t.IP.Ext = []packettest.Ext{packettest.HopByHop(1), packettest.Routing(s[0] >> 4 & 1), packettest.DestinationOptions(1)}
	}
	if s[0]&8 != 0 {
		t.IP.Options = make([]byte, s[7]%11*4)
	}
	t.IP.MF = s[0]&0x60 == 0x60
	return t
}

// jobUDP is the datagram instead of segment t.
func jobUDP(s []byte, t packettest.TCP) packettest.UDP {
	u := packettest.UDP{IP: t.IP, Payload: t.Payload, Partial: t.Partial, NoChecksum: s[1]&7 == 7}
	u.FFFF = s[1]&8 != 0 && len(u.Payload) >= 2
	u.BadChecksum = s[1]&0x30 == 0x30
	if s[1]&0xc0 == 0xc0 {
		u.LengthDelta = int(int8(s[2]))
	}
	return u
}

func jobSeeds() [][]byte {
	job := func(first, flags byte, payload, size, mtu uint16, how byte) []byte {
		return []byte{first, flags, 3, byte(payload >> 8), byte(payload), 7, 0, 0,
			byte(size >> 8), byte(size), byte(mtu >> 8), byte(mtu), how, 0, 0, 0}
	}
	var seeds [][]byte
	for first := range byte(64) { // every shape of header
		seeds = append(seeds, job(first, 0xff, 4000, 1448, 1500, first&15))
		seeds = append(seeds, job(first, first&0x3f, 4000, 1400, 1500, first&15|0x10)) // with every checksum
	}
	for _, n := range []uint16{0, 1, 999, 1000, 1001, 1472, 1473, 2000, 2001} { // datagrams around both sizes
		for _, size := range []uint16{0, 1, 1000, 1472, 1473, 60000} {
			seeds = append(seeds, job(0, 0, n, size, 1500, 0x10), job(1, 0, n, size, 1520, 0x12))
		}
	}
	for _, n := range []uint16{0, 1, 2, 1447, 1448, 1449, 2896, 2897, 65400} { // around the segment size
		seeds = append(seeds, job(0, 0x19, n, 1448, 1500, 2), job(1, 0x98, n, 1440, 1500, 4))
	}
	for _, mtu := range []uint16{0, 51, 52, 53, 576, 1499, 65535} { // around the headers
		seeds = append(seeds, job(0, 0x19, 3000, 1448, mtu, 0), job(0, 0x10, 0, 0, mtu, 2))
	}
	for _, mtu := range []uint16{0, 27, 28, 29, 576, 1427, 1428, 65535} {
		seeds = append(seeds, job(0, 0, 3000, 1400, mtu, 0x10), job(0, 0, 3000, 1, mtu, 0x10), job(0, 0, 0, 0, mtu, 0x12))
	}
	raw := append(job(0x80, 0, 0, 100, 576, 0), packettest.TCP{Payload: packettest.Stream(0, 900)}.Bytes()...)
	udp := append(job(0x80, 0, 0, 100, 576, 0), packettest.UDP{Payload: packettest.Stream(0, 900)}.Bytes()...)
	return append(seeds, raw, udp, raw[:40])
}

// FuzzSegment compares the package with the slow splitter: identical packets,
// identical errors, nothing beyond the MTU, no panic.
func FuzzSegment(f *testing.F) {
	for _, s := range jobSeeds() {
		f.Add(s)
	}
	var s segment.Splitter
	f.Fuzz(func(t *testing.T, data []byte) {
		j := parseJob(data)
		if j.pkt == nil {
			return
		}
		check(t, &s, j.pkt, j.o)
	})
}

// TestRandomPackets does what FuzzSegment does, with packets that are the same
// in every run, and wants each outcome to have been met.
func TestRandomPackets(t *testing.T) {
	const packets = 4000
	rng := rand.New(rand.NewPCG(5, 6))
	var s segment.Splitter
	met := map[error]int{}
	whole, several := 0, 0
	for range packets {
		b := make([]byte, 16)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		b[0] &= 0x3f
		b[3] &= 0x3f                  // up to 16 KiB
		b[8], b[10] = b[8]&7, b[10]&7 // up to 2 KiB
		b[13] &= 1
		if rng.IntN(3) != 0 {
			b[13] = 0
		}
		j := parseJob(b)
		got := check(t, &s, j.pkt, j.o)
		_, err := slowSegment(j.pkt, j.o)
		met[err]++
		switch {
		case len(got) == 1:
			whole++
		case len(got) > 1:
			several++
		}
	}
	for _, err := range []error{nil, segment.ErrMTU, segment.ErrMalformed, segment.ErrNotSegmentable} {
		if met[err] == 0 {
			t.Errorf("outcome %v was never met", err)
		}
	}
	if whole == 0 || several == 0 {
		t.Errorf("%d packets left whole and %d in several parts", whole, several)
	}
	t.Logf("%v; %d whole, %d in several parts", met, whole, several)
}
