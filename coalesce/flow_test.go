// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"net/netip"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func addr(v6 bool, last byte) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 15: last})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, last})
}

func hash(h *coalesce.Hasher, f packettest.Frame) uint64 {
	return h.Hash(packet(packettest.Arrival{Frame: f}, 0))
}

// What a shard is chosen by: packets of one flow always have one hash.
func TestHash(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		h := coalesce.NewHasher()
		base := w.segments(1, 100)[0]
		for _, tt := range []struct {
			name   string
			same   bool
			change func(p *packettest.TCP)
		}{
			{"sequence", true, func(p *packettest.TCP) { p.Seq++ }},
			{"pure ACK", true, func(p *packettest.TCP) { p.Payload = nil }},
			{"bad checksum", true, func(p *packettest.TCP) { p.BadChecksum = true }},
			{"IP options", true, func(p *packettest.TCP) { p.IP.Options = make([]byte, 4) }},
			{"SYN", true, func(p *packettest.TCP) { p.Flags = packettest.SYN }},
			{"flow label", true, func(p *packettest.TCP) { p.IP.Label = 5 }},
			{"station", true, func(p *packettest.TCP) { p.Link.Src = [6]byte{2, 9} }},
			{"extension header", true, func(p *packettest.TCP) {
				if p.IP.V6 {
					p.IP.Ext = []packettest.Ext{packettest.HopByHop(1)}
				}
			}},
			{"source port", false, func(p *packettest.TCP) { p.SrcPort++ }},
			{"destination port", false, func(p *packettest.TCP) { p.DstPort = 80 }},
			{"destination", false, func(p *packettest.TCP) { p.IP.Dst = addr(w.v6, 9) }},
			{"source", false, func(p *packettest.TCP) { p.IP.Src = addr(w.v6, 9) }},
		} {
			p := base
			tt.change(&p)
			if got := hash(&h, p.Frame()) == hash(&h, base.Frame()); got != tt.same {
				t.Errorf("%s: same hash: got %v, want %v", tt.name, got, tt.same)
			}
		}
		first, later := fragmentOf(base, 0, true), fragmentOf(base, 100, false)
		later.SrcPort = 1 // in truth payload, which must not be taken for a port
		if hash(&h, first.Frame()) != hash(&h, later.Frame()) {
			t.Error("two fragments of one packet have different hashes")
		}
		if h2 := coalesce.NewHasher(); hash(&h, base.Frame()) == hash(&h2, base.Frame()) {
			t.Error("two Hashers agree: whoever sends could choose flows that collide")
		}
		if got := h.Hash(&coalesce.Packet{Head: []byte{1}, Protocol: 0x0806}); got != 0 {
			t.Errorf("no flow: got %#x", got)
		}
	})
}

// TestHashSpreads: flows that count up in one field fill shards evenly.
func TestHashSpreads(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		h := coalesce.NewHasher()
		const flows, shards = 4096, 16
		for name, change := range map[string]func(p *packettest.TCP, i int){
			"ports":     func(p *packettest.TCP, i int) { p.SrcPort = uint16(1024 + i) },
			"addresses": func(p *packettest.TCP, i int) { p.IP.Src, p.SrcPort = addr(v6, byte(i)), uint16(1+i>>8) },
		} {
			var n [shards]int
			for i := range flows {
				p := packettest.TCP{IP: packettest.IP{V6: v6}}
				change(&p, i)
				n[hash(&h, p.Frame())%shards]++
			}
			for s, got := range n {
				// 256 on average; the standard deviation is 15.5.
				if got < 128 || got > 384 {
					t.Errorf("v6=%v, %s: shard %d has %d of %d flows", v6, name, s, got, flows)
				}
			}
		}
	}
}

func TestVerdictString(t *testing.T) {
	seen := map[string]coalesce.Verdict{}
	for i := range coalesce.NumVerdicts {
		v := coalesce.Verdict(i)
		s := v.String()
		if was, ok := seen[s]; ok || s == "" || s == "unknown" {
			t.Errorf("verdict %d is %q, as is %d", v, s, was)
		}
		seen[s] = v
	}
	if s := coalesce.Verdict(coalesce.NumVerdicts).String(); s != "unknown" {
		t.Errorf("beyond the last: %q", s)
	}
	for v, want := range map[coalesce.Verdict]bool{
		coalesce.Started: false, coalesce.Merged: true, coalesce.MergedShort: true, coalesce.MergedPush: true,
		coalesce.MergedFin: true, coalesce.MergedFull: true, coalesce.ExtHeadersDiffer: false, coalesce.Excluded: false,
	} {
		if v.Joined() != want {
			t.Errorf("%v.Joined() is %v", v, !want)
		}
	}
}
