// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// split splits pkt with a Splitter, which may have been used before, that sees
// only the first head bytes of it.
func split(s *segment.Splitter, pkt []byte, head int, o segment.Options) ([][]byte, error) {
	if err := s.Init(pkt[:head:head], len(pkt), o); err != nil {
		return nil, err
	}
	if s.Segments() == 0 {
		return [][]byte{pkt}, nil
	}
	payload := pkt[s.HeaderLen():]
	var out [][]byte
	for i := range s.Segments() {
		off, n := s.Payload(i)
		part := payload[off : off+n]
		seg := make([]byte, s.HeaderLen()+n)
		s.PutHeader(seg[:s.HeaderLen()], i, checksum.Checksum(part, 0))
		copy(seg[s.HeaderLen():], part)
		out = append(out, seg)
	}
	return out, nil
}

// check splits pkt both ways and fails the test if the outcomes differ, or if
// what leaves breaks the MTU.
func check(t testing.TB, s *segment.Splitter, pkt []byte, o segment.Options) [][]byte {
	t.Helper()
	want, wantErr := slowSegment(pkt, o)
	head := len(pkt)
	if _, hdrLen, _, err := slowHeaders(pkt, o.LinkHdrLen); err == nil {
		head = hdrLen // no more than it may need
	}
	got, err := split(s, pkt, head, o)
	if err != wantErr {
		t.Fatalf("error: got %v, want %v\n%+v\n%x", err, wantErr, o, pkt)
	}
	equal(t, got, want, o.LinkHdrLen)
	for _, p := range got {
		if n := len(p) - o.LinkHdrLen; n > o.MTU {
			t.Fatalf("an IP packet of %d bytes leaves on a link with MTU %d\n%+v\n%x", n, o.MTU, o, pkt)
		}
	}
	return got
}

func equal(t testing.TB, got, want [][]byte, link int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d packets, want %d", len(got), len(want))
	}
	for i := range got {
		g := packettest.Frame{Data: got[i], LinkHdrLen: link}
		w := packettest.Frame{Data: want[i], LinkHdrLen: link}
		if d := packettest.Diff(g, w); d != "" {
			t.Fatalf("packet %d of %d: %s", i, len(want), d)
		}
	}
}
