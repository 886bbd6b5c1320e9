// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// A reason is a rule that differs from Linux on purpose.
//
// All but three are of one kind: our rules end a run where Linux lets it grow.
// The kernel's answer is then taken apart there: it is asked about the packets
// of the flow before and behind that place one after the other, and its answers
// are put together again. So no merging of the oracle's own enters the verdict.
type reason int

const (
	none reason = iota

	// Order: Linux lets the packets that it cannot look into overtake those
	// that it holds. By our rules packets of one flow never overtake each
	// other, so these close the run of their flow.
	ipOptions      // IPv4 header longer than 20 bytes
	badIPChecksum  // IPv4 header checksum
	badChecksum    // TCP or UDP checksum
	malformed      // a transport header that is cut short or contradicts its packet
	fragment       // a fragment closes all runs of its addresses and protocol
	udpPasses      // UDP without checksum, payload or the right lengths; reserved IPv4 flag
	versionField   // Linux does not look at the version of IPv6 packets
	experiment     // IPv6 header 253: Linux stops reading, we look for the ports behind it
	chainIsNotFlow // another chain of IPv6 extension headers is another flow to Linux

	// The law: Linux merges what cannot be split into the same bytes.
	urgentPointer // not compared
	checksumFFFF  // a stored 0xffff comes back as 0x0000
	segmentsLeft  // a Routing header that has not done its work: the checksum is of another address
	udpFixedID    // equal IPv4 IDs count up when Linux splits datagrams again

	// Reach: Linux passes what may merge.
	padding // the padding of a short Ethernet frame is trimmed when it joins
	vlanTag // Linux merges tagged frames with its VLAN module only, and counts the tag into the limit of 65535 bytes
	buckets // Linux holds 8 flows with the same receive hash

	numReasons
)

var reasonNames = [numReasons]string{
	none:           "none",
	ipOptions:      "ip-options",
	badIPChecksum:  "bad-ip-checksum",
	badChecksum:    "bad-checksum",
	malformed:      "malformed",
	fragment:       "fragment",
	udpPasses:      "udp-passes",
	versionField:   "version-field",
	experiment:     "experiment",
	chainIsNotFlow: "chain-is-not-flow",
	urgentPointer:  "urgent-pointer",
	checksumFFFF:   "checksum-ffff",
	segmentsLeft:   "segments-left",
	udpFixedID:     "udp-fixed-id",
	padding:        "padding",
	vlanTag:        "vlan-tag",
	buckets:        "buckets",
}

func (r reason) String() string { return reasonNames[r] }

// alone says why our rules let the packet take part in no run and close that of
// its flow, where Linux thinks otherwise; none if Linux agrees.
func (p *packet) alone() reason {
	v4 := p.pair[0] == '4'
	hdrLen := p.hdrLen()
	switch {
	case p.versionWrong:
		return versionField
	case p.experiment:
		return experiment
	case p.segmentsLeft:
		return segmentsLeft
	case v4 && p.l4 > 20:
		return ipOptions
	case v4 && packettest.Checksum(p.ip[:20]) != 0:
		return badIPChecksum
	case v4 && binary.BigEndian.Uint16(p.ip[10:]) == 0xffff:
		return checksumFFFF
	case hdrLen == 0:
		return malformed
	}
	stored := binary.BigEndian.Uint16(p.ip[p.checksumAt():])
	if p.proto == protoTCP && stored == 0xffff {
		return checksumFFFF
	}
	if p.proto == protoUDP && p.udpPasses(v4, stored) {
		return udpPasses
	}
	if !p.checksumOK() {
		return badChecksum
	}
	return none
}

func (p *packet) udpPasses(v4 bool, stored uint16) bool {
	size := int(binary.BigEndian.Uint16(p.ip[p.l4+4:]))
	return stored == 0 || size <= 8 || size != p.size-p.l4 || v4 && p.ip[6]&0x80 != 0 ||
		p.size != len(p.ip) && !p.padded()
}

// checksumOK verifies the transport checksum of a packet whose lengths agree.
func (p *packet) checksumOK() bool {
	if p.size > len(p.ip) {
		return true // a length mismatch, of which Linux thinks the same
	}
	l4 := p.ip[p.l4:p.size]
	addresses := p.ip[12:20]
	if p.pair[0] == '6' {
		addresses = p.ip[8:40]
	}
	n := len(l4)
	rest := []byte{0, p.proto, byte(n >> 8), byte(n)}
	return packettest.Checksum(addresses, rest, l4) == 0
}

// flow is the packets of one flow in a burst, and how to ask the kernel about
// them.
type flow struct {
	packets []packet
	fenced  []bool // a fragment of the same addresses came just before
	split   bool   // the question is about what was merged and split again
	without reason // a deliberate difference to leave out of account
}

// readFlow picks the packets of a flow out of a burst.
func (j *judge) readFlow(frames [][]byte, key string) flow {
	f := flow{split: j.split}
	fragments := map[string]bool{} // pairs, since the flow's last packet
	for _, data := range frames {
		p := readPacket(data)
		switch {
		case p.flow == key:
			f.packets = append(f.packets, p)
			f.fenced = append(f.fenced, fragments[p.pair])
			clear(fragments)
		case p.hidden:
			addresses := p.pair[:len(p.pair)-1]
			fragments[addresses+string(rune(protoTCP))] = true
			fragments[addresses+string(rune(protoUDP))] = true
		case p.fragment:
			fragments[p.pair] = true
		}
	}
	return f
}

// parts takes the packets apart wherever our rules differ from Linux.
func (f *flow) parts() (out [][]packet) {
	closed := true
	for i := range f.packets {
		p := &f.packets[i]
		alone := f.unless(p.alone())
		if closed || alone != none || f.ends(i) != none {
			out = append(out, nil)
		}
		last := len(out) - 1
		out[last] = append(out[last], *p)
		closed = alone != none
	}
	return out
}

// ends says why our rules end the run before packet i.
func (f *flow) ends(i int) reason {
	p := &f.packets[i]
	if f.fenced[i] && f.without != fragment {
		return fragment
	}
	if i == 0 {
		return none
	}
	last := &f.packets[i-1]
	sameID := p.pair[0] == '4' && [2]byte(p.ip[4:]) == [2]byte(last.ip[4:])
	urgent := func(p *packet) []byte { return p.ip[min(p.l4+18, len(p.ip)):min(p.l4+20, len(p.ip))] }
	switch {
	case p.ext != last.ext && f.without != chainIsNotFlow:
		return chainIsNotFlow
	case p.proto == protoTCP && !bytes.Equal(urgent(p), urgent(last)) && f.without != urgentPointer:
		return urgentPointer
	case p.proto == protoUDP && f.split && sameID && f.without != udpFixedID:
		return udpFixedID
	}
	return none
}

func (f *flow) unless(r reason) reason {
	if r == f.without {
		return none
	}
	return r
}

// reasons are the deliberate differences that have to do with the flow.
func (f *flow) reasons() (all []reason) {
	met := map[reason]bool{}
	for i, p := range f.packets {
		met[p.alone()] = true
		met[f.ends(i)] = true
		met[padding] = met[padding] || p.padded()
		met[vlanTag] = met[vlanTag] || p.tagged()
	}
	for r := reason(1); r < numReasons; r++ {
		if met[r] {
			all = append(all, r)
		}
	}
	return all
}

// plain is the frame that the kernel is asked about: without the padding, and
// without the VLAN tag, which is the same on all packets of a flow.
func (f *flow) plain(p *packet) []byte {
	data := p.frame.Data
	if p.padded() && f.without != padding {
		data = data[:p.frame.NetOffset()+p.size]
	}
	if p.tagged() && f.without != vlanTag {
		data = append(append([]byte{}, data[:12]...), data[16:]...)
	}
	return data
}

// restore puts back what plain took from p, the first packet that l was made of.
func (f *flow) restore(l left, p *packet, asked []byte) left {
	switch {
	case l.segmentSize == 0 && bytes.Equal(l.data, asked) && !f.split:
		l.data = p.frame.Data
	case p.tagged() && f.without != vlanTag:
		tagged := append([]byte{}, l.data[:12]...)
		tagged = append(tagged, p.frame.Data[12:16]...)
		l.data = append(tagged, l.data[12:]...)
	}
	return l
}
