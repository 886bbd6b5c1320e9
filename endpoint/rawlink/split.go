// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/segment"
)

// splitter splits received super-packets into the packets that would have been on
// a wire: those of UDP always, because no netstack socket takes one, and those of
// TCP where there is no endpoint that passes them on. It borrows the frame from
// init on.
type splitter struct {
	seg   segment.Splitter
	frame *endpoint.Frame
}

// maxDatagrams is UDP_MAX_SEGMENTS of linux/udp.h.
const maxDatagrams = 128

// init begins with f and returns how many packets it becomes: 0 if it is to be
// taken as it is. It returns false if its headers are such that it has to be
// dropped, or its checksum wrong, which splitting would hide.
func (s *splitter) init(f *endpoint.Frame) (n int, ok bool) {
	s.frame = f
	err := s.seg.Init(f.Data, len(f.Data), segment.Options{
		SegmentSize: int(f.GSOSize),
		MTU:         gsoMaxSize,
		Partial:     f.Checksum == endpoint.ChecksumPartial,
		LinkHdrLen:  netOffset(f),
	})
	if err != nil {
		return 0, false
	}
	n = s.seg.Segments()
	if n == 0 {
		return 0, true
	}
	if f.GSOType == stack.GSONone && n > maxDatagrams {
		return 0, false
	}
	if f.Checksum == endpoint.ChecksumNone && !s.seg.ChecksumOK(sum.Bytes(f.Data[s.seg.HeaderLen():], 0)) {
		return 0, false
	}
	return n, true
}

// len is the size of packet i.
func (s *splitter) len(i int) int {
	_, n := s.seg.Payload(i)
	return s.seg.HeaderLen() + n
}

// put writes packet i to dst, which has len(i) bytes. Its checksums are final.
func (s *splitter) put(dst []byte, i int) {
	hdrLen := s.seg.HeaderLen()
	off, n := s.seg.Payload(i)
	s.seg.PutHeader(dst[:hdrLen], i, sum.Copy(dst[hdrLen:], s.frame.Data[hdrLen+off:hdrLen+off+n]))
}
