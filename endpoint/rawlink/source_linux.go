// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"golang.org/x/sys/unix"
)

const (
	// batchBytes is about how much is read at once: more than this and the
	// first frames leave the caches before the last is read.
	batchBytes = 512 << 10
	// minBatch is the fewest frames a batch is made for.
	minBatch = 8
	// align is the cache line.
	align = 64
)

func aligned(n int) int { return (n + align - 1) &^ (align - 1) }

// deviceSource reads a TUN or TAP, one frame a call, and packs frames tight.
type deviceSource struct {
	fd    int
	arena []byte
	iov   unix.Iovec
}

func (s *deviceSource) read(raw [][]byte, size int) ([][]byte, unix.Errno) {
	// One byte more than is allowed, so that a frame that is too large shows.
	slot := size + 1
	if want := min(maxBatch*aligned(slot), max(batchBytes, minBatch*aligned(slot))); len(s.arena) < want {
		s.arena = make([]byte, want)
	}
	free := s.arena
	for len(raw) < maxBatch && len(free) >= slot {
		s.iov.Base = &free[0]
		s.iov.SetLen(slot)
		n, errno := readv(s.fd, &s.iov)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return raw, errno
		}
		if n > size {
			raw = append(raw, nil)
			continue
		}
		raw = append(raw, free[:n:n])
		free = free[min(aligned(n), len(free)):]
	}
	return raw, 0
}

// socketSource reads a socket, many frames a call. How many it asks for depends
// on how large the last ones were.
type socketSource struct {
	fd   int
	size int
	want int
	slot int
	buf  []byte
	iovs [maxBatch]unix.Iovec
	msgs [maxBatch]mmsghdr
}

func (s *socketSource) read(raw [][]byte, size int) ([][]byte, unix.Errno) {
	if s.size != size {
		s.prepare(size)
	}
	n, errno := recvmmsg(s.fd, s.msgs[:s.want])
	if errno != 0 {
		return raw, errno
	}
	total := 0
	for i := range n {
		if s.msgs[i].hdr.Flags&unix.MSG_TRUNC != 0 {
			raw = append(raw, nil)
			continue
		}
		at, k := i*s.slot, int(s.msgs[i].len)
		raw = append(raw, s.buf[at:at+k:at+k])
		total += k
	}
	s.want = max(minBatch, min(maxBatch, batchBytes*n/max(total, 1)))
	return raw, 0
}

// prepare makes buffers for frames of that size. They are touched only where
// something is read into them.
func (s *socketSource) prepare(size int) {
	s.size, s.want = size, maxBatch
	s.slot = aligned(size)
	s.buf = make([]byte, maxBatch*s.slot)
	for i := range s.msgs {
		s.iovs[i].Base = &s.buf[i*s.slot]
		s.iovs[i].SetLen(size)
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
}
