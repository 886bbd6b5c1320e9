// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// flowKey identifies a flow but for its link header, which is compared where it
// stands. A fragment's key has zero ports and label: it names all flows of its
// addresses and protocol. The zero flowKey is no flow (version 0).
type flowKey struct {
	src, dst [2]uint64
	ports    uint32
	label    uint32
	proto    uint8
	version  uint8
}

// equal is ==, which the compiler makes a call of.
func (k *flowKey) equal(o *flowKey) bool {
	return k.src[0] == o.src[0] && k.dst[0] == o.dst[0] &&
		k.ports == o.ports && k.label == o.label && k.proto == o.proto && k.version == o.version &&
		k.src[1] == o.src[1] && k.dst[1] == o.dst[1]
}

// portless is the key under which a fragment of k's flow is found.
func (k *flowKey) portless() flowKey {
	p := *k
	p.ports, p.label = 0, 0
	return p
}

// Hasher spreads flows evenly and unpredictably: whoever sends the packets
// cannot choose flows that collide. The zero value is valid but predictable;
// use NewHasher. A Hasher is a value and safe for concurrent use.
type Hasher struct {
	seed [2]uint64
}

// NewHasher returns a Hasher with a random seed.
func NewHasher() Hasher {
	return Hasher{seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
}

// mix folds a 64 by 64 bit product, the step of the wyhash family.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (h *Hasher) key(k *flowKey) uint64 {
	const c0, c1, c2 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3
	s := mix(k.src[0]^h.seed[0]^c0, k.dst[0]^h.seed[1])
	s ^= mix(uint64(k.ports)<<32^uint64(k.label)^h.seed[1]^c1, uint64(k.proto)<<8^uint64(k.version)^h.seed[0])
	if k.version == 6 {
		s ^= mix(k.src[1]^h.seed[1]^c2, k.dst[1]^h.seed[0])
	}
	return mix(s^c0, h.seed[0]^c1)
}

// link hashes the first bytes of a link header: enough to tell stations apart.
func (h *Hasher) link(b []byte) uint64 {
	if len(b) < 14 {
		return 0
	}
	return mix(binary.LittleEndian.Uint64(b)^h.seed[1], binary.LittleEndian.Uint64(b[6:])^h.seed[0])
}

// Hash returns a hash of p's addresses, protocol and ports; of a fragment's
// addresses and protocol only; and 0 for what shows no flow. Link header and
// flow label do not count. It is meant for choosing one of several Tables, so
// that each flow stays in one.
func (h *Hasher) Hash(p *Packet) uint64 {
	var f facts
	f.parse(p, false)
	if f.key.version == 0 {
		return 0
	}
	f.key.label = 0
	return h.key(&f.key)
}
