// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"bytes"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// slowSegment is the obvious, slow splitter: RULES.md's table written down. It
// returns the packets that leave.
func slowSegment(pkt []byte, o segment.Options) ([][]byte, error) {
	whole := [][]byte{pkt}
	fits := len(pkt)-o.LinkHdrLen <= o.MTU
	l4, hdrLen, proto, err := slowHeaders(pkt, o.LinkHdrLen)
	switch {
	case err != nil && fits && !o.Partial:
		return whole, nil // nobody asks what it is
	case err == segment.ErrNotSegmentable && fits:
		return nil, segment.ErrMalformed // a partial checksum of what?
	case err != nil:
		return nil, err
	}
	link, ip, payload := pkt[:o.LinkHdrLen], pkt[o.LinkHdrLen:hdrLen], pkt[hdrLen:]
	size := o.SegmentSize
	if proto == 17 && !fits && size <= 0 {
		return nil, segment.ErrNotSegmentable // one large datagram
	}
	if proto == 17 && !fits && len(ip)+size > o.MTU {
		return nil, segment.ErrMTU // of large datagrams
	}
	// Without a usable segment size: the link's MTU.
	if size <= 0 || len(ip)+size > o.MTU {
		size = o.MTU - len(ip)
	}
	switch {
	case size < 0, size == 0 && len(payload) > 0:
		return nil, segment.ErrMTU
	case len(payload) <= size && !o.Partial:
		return whole, nil
	}
	noChecksum := proto == 17 && !o.Partial && be16(pkt[o.LinkHdrLen+l4+6:]) == 0
	var parts [][]byte
	for len(payload) > size {
		parts = append(parts, payload[:size])
		payload = payload[size:]
	}
	parts = append(parts, payload)
	var out [][]byte
	for i, part := range parts {
		s := slowPart{ip: bytes.Clone(ip), l4: l4, index: i, count: len(parts)}
		if proto == 6 {
			s.tcp(size)
		} else {
			put16(s.ip[l4+4:], 8+len(part))
		}
		s.header(len(part), o.FixedID)
		s.ip = append(s.ip, part...)
		switch {
		case proto == 6:
			packettest.FixTCP(s.ip, s.l4)
		case !noChecksum:
			packettest.FixUDP(s.ip, s.l4)
		}
		out = append(out, append(bytes.Clone(link), s.ip...))
	}
	return out, nil
}

// slowPart is one segment on its way.
type slowPart struct {
	ip           []byte
	l4           int
	index, count int
}

func (s *slowPart) tcp(size int) {
	tcp := s.ip[s.l4:]
	put32(tcp[4:], be32(tcp[4:])+uint32(s.index*size))
	if s.index != s.count-1 {
		tcp[13] &= 0xff - packettest.FIN - packettest.PSH
	}
	if s.index != 0 {
		tcp[13] &= 0xff - packettest.CWR
	}
}

func (s *slowPart) header(n int, fixedID bool) {
	if s.count == 1 {
		return // the IP header is the sender's, and right
	}
	if s.ip[0]>>4 == 6 {
		put16(s.ip[4:], len(s.ip)-40+n)
		return
	}
	put16(s.ip[2:], len(s.ip)+n)
	if !fixedID {
		put16(s.ip[4:], be16(s.ip[4:])+s.index)
	}
	packettest.FixIPv4(s.ip)
}

// slowHeaders returns where the TCP or UDP header begins, counted from the IP
// header, and where the payload begins, counted from the packet.
func slowHeaders(pkt []byte, link int) (l4, hdrLen int, proto byte, err error) {
	if link < 0 || link >= len(pkt) {
		return 0, 0, 0, segment.ErrMalformed
	}
	ip := pkt[link:]
	var size int
	switch ip[0] >> 4 {
	case 4:
		l4, size, proto, err = slowIPv4(ip)
	case 6:
		l4, size, proto, err = slowIPv6(ip)
	default:
		err = segment.ErrNotSegmentable
	}
	if err != nil {
		return 0, 0, 0, err
	}
	n := slowHeaderLen(proto, ip[min(l4, len(ip)):])
	if size != len(ip) || n == 0 || l4+n > len(ip) {
		return 0, 0, 0, segment.ErrMalformed
	}
	return l4, link + l4 + n, proto, nil
}

// slowHeaderLen is the length of the transport header that b begins with, or 0
// if there is none that is right.
func slowHeaderLen(proto byte, b []byte) int {
	switch {
	case proto == 17 && len(b) >= 8 && be16(b[4:]) == len(b):
		return 8
	case proto == 6 && len(b) >= 20 && b[12]>>4 >= 5:
		return int(b[12]>>4) * 4
	}
	return 0
}

func slowIPv4(ip []byte) (l4, size int, proto byte, err error) {
	if len(ip) < 20 {
		return 0, 0, 0, segment.ErrMalformed
	}
	l4 = int(ip[0]&15) * 4
	if l4 < 20 || l4 > len(ip) {
		return 0, 0, 0, segment.ErrMalformed
	}
	if ip[9] != 6 && ip[9] != 17 || be16(ip[6:])&0x3fff != 0 {
		return 0, 0, 0, segment.ErrNotSegmentable
	}
	return l4, be16(ip[2:]), ip[9], nil
}

func slowIPv6(ip []byte) (l4, size int, proto byte, err error) {
	if len(ip) < 40 {
		return 0, 0, 0, segment.ErrMalformed
	}
	next := ip[6]
	l4 = 40
	for next != 6 && next != 17 {
		switch next {
		case 0, 43, 60, 253: // 253: gVisor's Experiment header (RFC 4727)
		default:
			return 0, 0, 0, segment.ErrNotSegmentable
		}
		if l4+8 > len(ip) {
			return 0, 0, 0, segment.ErrMalformed
		}
		if next == 43 && ip[l4+3] != 0 {
			return 0, 0, 0, segment.ErrNotSegmentable
		}
		next, l4 = ip[l4], l4+8*(1+int(ip[l4+1]))
	}
	return l4, 40 + be16(ip[4:]), next, nil
}

func put16(b []byte, v int) { b[0], b[1] = byte(v>>8), byte(v) }

func put32(b []byte, v uint32) { put16(b, int(v>>16)); put16(b[2:], int(v)) }

func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }

func be32(b []byte) uint32 { return uint32(be16(b))<<16 | uint32(be16(b[2:])) }
