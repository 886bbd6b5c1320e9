// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package law_test tests the one law that coalesce and segment share, neither of
// which imports the other: segment(coalesce(batch)) == batch, byte for byte over
// IP packets, per flow in order.
package law_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const mtu = 65535

// counts are packets by transport protocol.
type counts [256]int

// through coalesces a burst and splits what leaves, and counts the packets that
// went through a merged one.
func through(t testing.TB, b packettest.Burst) (out []packettest.Frame, merged counts) {
	table := coalesce.New(&coalesce.Config{MaxPackets: b.MaxPackets, UDP: b.UDP})
	leave := func() bool {
		r := table.Pop()
		if r == nil {
			return false
		}
		if r.Count > 1 {
			merged[r.Transport] += r.Count
		}
		out = append(out, splitRun(t, r, b.Arrivals)...)
		return true
	}
	for i, a := range b.Arrivals {
		for table.Full() || a.Pop {
			a.Pop = leave() && table.Full()
		}
		p := coalesce.Packet{LinkHdrLen: a.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(a.Protocol), Exclude: a.Exclude, ID: i}
		p.Head, p.Tail = a.Pieces()
		table.Add(&p)
	}
	for leave() {
	}
	return out, merged
}

func splitRun(t testing.TB, r *coalesce.Run, in []packettest.Arrival) []packettest.Frame {
	first := in[r.ID].Frame
	if r.Count == 1 {
		return []packettest.Frame{first}
	}
	pkt := make([]byte, r.HeaderLen+r.PayloadLen)
	r.PutHeader(pkt[:r.HeaderLen])
	r.CopyPayload(pkt[r.HeaderLen:])
	var s segment.Splitter
	o := segment.Options{SegmentSize: r.SegmentSize, MTU: mtu, FixedID: r.FixedID, LinkHdrLen: first.NetOffset()}
	if err := s.Init(pkt[:r.HeaderLen], len(pkt), o); err != nil {
		t.Fatalf("a merged packet of %d does not split: %v\n%x", r.Count, err, pkt[:r.HeaderLen])
	}
	if s.Segments() != r.Count || s.Transport() != r.Transport {
		t.Fatalf("a merged packet of %d (protocol %d) splits into %d (%d)", r.Count, r.Transport, s.Segments(), s.Transport())
	}
	payload := pkt[s.HeaderLen():]
	if !s.ChecksumOK(checksum.Checksum(payload, 0)) {
		t.Fatalf("a merged packet of %d has a wrong checksum", r.Count)
	}
	var out []packettest.Frame
	for i := range s.Segments() {
		off, n := s.Payload(i)
		f := packettest.Frame{Data: make([]byte, s.HeaderLen()+n), LinkHdrLen: first.LinkHdrLen, Protocol: first.Protocol}
		s.PutHeader(f.Data[:s.HeaderLen()], i, checksum.Checksum(payload[off:off+n], 0))
		copy(f.Data[s.HeaderLen():], payload[off:off+n])
		out = append(out, f)
	}
	return out
}

// check fails the test if the law is broken.
func check(t testing.TB, b packettest.Burst) (merged counts) {
	out, merged := through(t, b)
	if len(out) != len(b.Arrivals) {
		t.Fatalf("%d packets came and %d left", len(b.Arrivals), len(out))
	}
	var in []packettest.Frame
	for _, a := range b.Arrivals {
		in = append(in, a.Frame)
	}
	want, got := perFlow(in), perFlow(out)
	for flow, w := range want {
		g := got[flow]
		if len(g) != len(w) {
			t.Fatalf("flow %q: %d packets came and %d left", flow, len(w), len(g))
		}
		for i := range w {
			if d := packettest.Diff(g[i], w[i]); d != "" {
				t.Fatalf("flow %q, packet %d: %s", flow, i, d)
			}
		}
	}
	return merged
}

// perFlow sorts packets by flow, padding trimmed. A fragment, which shows no
// ports, belongs to each flow of its addresses and protocol, and one that does
// not show its protocol to those of both: it may overtake none of them.
func perFlow(frames []packettest.Frame) map[string][]packettest.Frame {
	hosts := map[string]map[string]bool{} // flows by addresses and protocol
	for _, f := range frames {
		if host, flow, fragment := identity(f); !fragment {
			if hosts[host] == nil {
				hosts[host] = map[string]bool{}
			}
			hosts[host][flow] = true
		}
	}
	flows := map[string][]packettest.Frame{}
	for _, f := range frames {
		host, flow, fragment := identity(f)
		f = trim(f)
		if !fragment {
			flows[flow] = append(flows[flow], f)
			continue
		}
		flows[host+"all fragments"] = append(flows[host+"all fragments"], f)
		for _, of := range carried(host) {
			for flow := range hosts[of] {
				flows[flow] = append(flows[flow], f)
			}
		}
	}
	return flows
}

// carried is what a fragment of host may be of: with an extension header in its
// fragmented part, TCP or UDP.
func carried(host string) []string {
	addresses, proto, _ := strings.Cut(host, protoMark)
	switch proto {
	case "0", "43", "44", "60", "253":
		if len(addresses) == 2*32 { // IPv4 has no such headers
			return []string{addresses + protoMark + "6", addresses + protoMark + "17"}
		}
	}
	return []string{host}
}

// protoMark stands between addresses and protocol of a host.
const protoMark = " proto "

// identity of a frame as far as it shows. What shows none is a flow of its own,
// by its bytes: there is no order to keep among such.
func identity(f packettest.Frame) (host, flow string, fragment bool) {
	none := fmt.Sprintf("unknown %x", f.Data)
	protocol, ip := f.Protocol, f.Data[min(len(f.Data), f.NetOffset()):]
	if protocol == packettest.ProtocolVLAN && len(f.Data) >= f.NetOffset() {
		protocol = uint16(f.Data[f.NetOffset()-2])<<8 | uint16(f.Data[f.NetOffset()-1])
	}
	if len(ip) == 0 {
		return none, none, false
	}
	var l4 int
	switch v := ip[0] >> 4; {
	case v == 4 && protocol == packettest.ProtocolIPv4 && len(ip) >= 20:
		l4 = int(ip[0]&15) * 4
		if l4 < 20 {
			return none, none, false
		}
		host = fmt.Sprint(hex.EncodeToString(ip[12:20]), protoMark, ip[9])
		fragment = ip[6]&0x3f != 0 || ip[7] != 0
	case v == 6 && protocol == packettest.ProtocolIPv6 && len(ip) >= 40:
		proto := ip[6]
		for l4 = 40; proto == 0 || proto == 43 || proto == 60; {
			if len(ip) < l4+8 {
				return none, none, false
			}
			proto, l4 = ip[l4], l4+8+8*int(ip[l4+1])
		}
		if fragment = proto == 44; fragment {
			if len(ip) < l4+8 {
				return none, none, false
			}
			proto = ip[l4]
		}
		host = fmt.Sprint(hex.EncodeToString(ip[8:40]), protoMark, proto)
	}
	switch {
	case host == "" || !fragment && len(ip) < l4+4:
		return none, none, false
	case fragment:
		return host, "", true
	}
	label := uint32(0)
	if ip[0]>>4 == 6 {
		label = uint32(ip[1]&15)<<16 | uint32(ip[2])<<8 | uint32(ip[3])
	}
	return host, fmt.Sprintf("%s ports %x label %x link %x", host, ip[l4:l4+4], label, f.Data[:f.NetOffset()]), false
}

// trim takes off the padding of a short Ethernet frame: the law is about IP
// packets.
func trim(f packettest.Frame) packettest.Frame {
	net := f.NetOffset()
	if f.LinkHdrLen < 14 || len(f.Data) > 60 || len(f.Data) < net+20 {
		return f
	}
	ip := f.Data[net:]
	n := int(ip[2])<<8 | int(ip[3])
	if ip[0]>>4 == 6 {
		n = 40 + (int(ip[4])<<8 | int(ip[5]))
	}
	if n >= 20 && n < len(ip) {
		f.Data = bytes.Clone(f.Data[:net+n])
	}
	return f
}

// FuzzLaw tries the law on the bursts of packettest.ParseBurst. The link vouches
// for nothing: wrong checksums have to be kept apart by the package itself.
func FuzzLaw(f *testing.F) {
	for _, s := range packettest.BurstSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, packettest.ParseBurst(data)) })
}

// TestLaw tries the law on bursts that are the same in every run.
func TestLaw(t *testing.T) {
	const bursts = 800
	rng := rand.New(rand.NewPCG(7, 8))
	const tcp, udp = 6, 17
	packets, merged := 0, counts{}
	for range bursts {
		b := packettest.ParseBurst(packettest.RandomBurst(rng))
		packets += len(b.Arrivals)
		for proto, n := range check(t, b) {
			merged[proto] += n
		}
	}
	if merged[tcp] < packets/3 || merged[udp] < packets/10 {
		t.Errorf("only %d of TCP and %d of UDP of %d packets merged: the bursts test little", merged[tcp], merged[udp], packets)
	}
	t.Logf("%d of TCP and %d of UDP of %d packets merged", merged[tcp], merged[udp], packets)
}
