// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

import "math/rand/v2"

// BurstSeeds spell bursts for the corpus of a fuzz target, each with its reason.
func BurstSeeds() [][]byte {
	plain := func(settings ...byte) []byte {
		b := append(settings, make([]byte, 4-len(settings))...)
		for range 12 {
			b = append(b, 0, 0, 0)
		}
		return b
	}
	var seeds [][]byte
	for link := range byte(64) {
		seeds = append(seeds, plain(link)) // every framing, version, option and ID rule
	}
	for size := range byte(32) {
		seeds = append(seeds, plain(0, size), plain(9, size)) // odd sizes; sizes that meet 65535
	}
	for m := range mutations {
		for _, settings := range []byte{0, 1, 10, 13, 24} {
			// Each mutation between packets that would merge: once, and kept;
			// of the same flow and of a neighbour.
			m := spelling(m)
			for _, flags := range []byte{0, 0x80, 0x21} {
				b := append(plain(settings), flags, m, 9)
				seeds = append(seeds, append(b, plain()[4:]...))
				udp := append([]byte{settings | flowUDP, 0x45}, b[2:]...) // datagrams of 101 bytes
				seeds = append(seeds, append(udp, plain()[4:]...))
			}
		}
	}
	for size := range byte(32) {
		// The same of UDP, with as many datagrams as a run takes and more.
		seeds = append(seeds, plain(flowUDP, 0x40|size), plain(flowUDP|11, 0x40|size))
	}
	full := plain(flowUDP, 0x41)
	seeds = append(seeds, append(full, make([]byte, 3*64)...))
	bounded := plain(0, 0, 3) // the bound on packets
	seeds = append(seeds, bounded, plain(0, 0, 0, 2) /* flows that end elsewhere */)
	var robin []byte
	for i := range byte(24) {
		robin = append(robin, i&3, 0, 0)
	}
	seeds = append(seeds, append([]byte{3, 0, 128, 0}, robin...)) // interleaved flows
	seeds = append(seeds, append([]byte{3 | flowUDP, 5, 128, 0}, robin...),
		append([]byte{flowUDP, 0x25, 128, 0}, robin...)) // TCP and UDP; UDP that may not merge
	raw := []byte{0x80, 0, 0, 0}
	for i := range uint32(4) {
		p := TCP{Seq: i * 10, Payload: Stream(i*10, 10)}.Bytes()
		raw = append(append(raw, byte(len(p))), p...)
	}
	return append(seeds, raw) // raw frames that merge
}

// RandomBurst spells a burst of up to 60 packets, or one of 160 that all merge as
// far as they may.
func RandomBurst(r *rand.Rand) []byte {
	b := []byte{byte(r.Uint32()) & 0x3f, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()) & 15}
	if r.IntN(3) == 0 {
		b[0] |= flowUDP
	}
	if r.IntN(4) != 0 {
		b[1] &^= 0x20 // UDP mostly merges
	}
	if r.IntN(8) != 0 {
		b[1] &^= 8 // mostly small packets
	}
	if r.IntN(32) == 0 {
		return append(b, make([]byte, 3*160)...)
	}
	flows := 1 + r.IntN(4)
	for range 1 + r.IntN(60) {
		flags := byte(r.IntN(flows))
		for _, rare := range []struct {
			bits byte
			odds int
		}{{0x80, 2}, {0x40, 40}, {0x20, 4}, {0x10, 8}, {0x0c, 40}} {
			if r.IntN(rare.odds) == 0 {
				flags |= rare.bits
			}
		}
		mutation := byte(0)
		if r.IntN(5) == 0 {
			mutation = spelling(r.IntN(len(mutations)))
		}
		b = append(b, flags, mutation, byte(r.Uint32()))
	}
	return b
}

// spelling is the byte that chooses mutation i.
func spelling(i int) byte { return byte(128 + i) }
