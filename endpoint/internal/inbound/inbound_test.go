// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package inbound

import (
	"errors"
	"testing"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// What becomes of a packet by what is known of it. How it looks is tested in
// package endpoint, where the pieces arrive.
func TestInit(t *testing.T) {
	data := packettest.Stream(0, 5000)
	tcp := packettest.TCP{Payload: data}.Bytes()
	udp := packettest.UDP{Payload: data}.Bytes()
	bad := packettest.TCP{Payload: data, BadChecksum: true}.Bytes()
	icmp := packettest.ICMP{Payload: data}.Frame().Data
	most := packettest.TCP{Payload: packettest.Stream(0, 8191)}.Bytes()
	flood := packettest.TCP{Payload: packettest.Stream(0, 8192)}.Bytes()
	largest := packettest.TCP{Payload: packettest.Stream(0, 65535-40)}.Bytes()
	tests := map[string]struct {
		p   Packet
		n   int
		err error
	}{
		"by size":             {Packet{Data: tcp, SegmentSize: 1000, MTU: 1500}, 5, nil},
		"by size over MTU":    {Packet{Data: tcp, SegmentSize: 2500, MTU: 1500}, 2, nil},
		"by MTU":              {Packet{Data: tcp, MTU: 1500}, 4, nil},
		"fits":                {Packet{Data: tcp, MTU: 9000}, 0, nil},
		"one segment":         {Packet{Data: tcp, SegmentSize: 5000, MTU: 1500}, 0, nil},
		"UDP":                 {Packet{Data: udp, SegmentSize: 1000, MTU: 1500}, 5, nil},
		"UDP of unknown size": {Packet{Data: udp, MTU: 1500}, 0, segment.ErrNotSegmentable},
		"UDP too many":        {Packet{Data: udp, SegmentSize: 39}, 0, ErrSegments},
		"UDP just not":        {Packet{Data: udp, SegmentSize: 40}, 125, nil},
		"UDP one datagram":    {Packet{Data: udp, SegmentSize: 5000}, 0, nil},
		"TCP too many":        {Packet{Data: flood, SegmentSize: 1}, 0, ErrSegments},
		"TCP just not":        {Packet{Data: most, SegmentSize: 1}, 8191, nil},
		"TCP as Linux may":    {Packet{Data: largest, SegmentSize: 8}, 8187, nil},
		"TCP too many by MTU": {Packet{Data: flood, MTU: 41}, 0, ErrSegments},
		"neither":             {Packet{Data: icmp, SegmentSize: 1000}, 0, segment.ErrMalformed},
		"checksum":            {Packet{Data: bad, SegmentSize: 1000}, 0, ErrChecksum},
		"checksum, trusted":   {Packet{Data: bad, SegmentSize: 1000, Trusted: true}, 5, nil},
		"cut short":           {Packet{Data: tcp[:3000], SegmentSize: 1000}, 0, segment.ErrMalformed},
		"link header outside": {Packet{Data: tcp, LinkHdrLen: 9999, SegmentSize: 1000}, 0, segment.ErrMalformed},
		"link header before":  {Packet{Data: tcp, LinkHdrLen: -1, SegmentSize: 1000}, 0, segment.ErrMalformed},
		"empty":               {Packet{SegmentSize: 1000}, 0, nil},
	}
	var s Splitter
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := s.Init(&test.p)
			if n != test.n || !errors.Is(err, test.err) {
				t.Fatalf("%d packets, %v; want %d, %v", n, err, test.n, test.err)
			}
			payload := 0
			for i := range n {
				packet := make([]byte, s.Len(i))
				s.Put(packet, i)
				headers := 40
				if packet[9] == 17 {
					headers = 28
				}
				payload += len(packet) - headers
			}
			if whole := s.seg.PayloadLen(); n > 0 && payload != whole {
				t.Errorf("%d bytes of payload, want %d", payload, whole)
			}
			s.Drop()
		})
	}
}
