// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
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

// deviceSource reads a TUN or TAP, one frame a call. It packs frames tight, but where
// they are super-packets it reads them into views that the stack can keep.
type deviceSource struct {
	fd    int
	super bool // there may be super-packets
	arena []byte
	iovs  [2]unix.Iovec

	view  *buffer.View // for the next large frame, or nil
	large bool         // the last one was
}

const (
	// viewSize is the largest view that comes from a pool.
	viewSize = buffer.MaxChunkSize
	// viewFrom is the size of a frame from which a view, which is cleared, costs
	// less than a copy.
	viewFrom = viewSize / 2
)

func (s *deviceSource) read(raw []received, size int) ([]received, unix.Errno) {
	// One byte more than is allowed, so that a frame that is too large shows.
	slot := size + 1
	if want := min(maxBatch*aligned(slot), max(batchBytes, minBatch*aligned(slot))); len(s.arena) < want {
		s.arena = make([]byte, want)
	}
	free, inViews := s.arena, 0
	for len(raw) < maxBatch && len(free) >= slot && inViews < batchBytes {
		n, errno := s.readOne(free[:slot])
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return raw, errno
		}
		read := received{data: free[:n:n]}
		switch {
		case n > size:
			read.data = nil
		case s.large && n >= viewFrom && n <= viewSize:
			s.view.CapLength(n)
			read = received{s.view.AsSlice(), s.view}
			s.view = nil
			inViews += n
		default:
			if s.large {
				copy(free, s.view.AsSlice()[:min(n, viewSize)])
			}
			free = free[min(aligned(n), len(free)):]
		}
		raw = append(raw, read)
		s.large = s.super && n >= viewFrom
	}
	return raw, 0
}

// readOne reads a frame into free or, if it may be expected to be large, into the view
// and what does not fit there into free, behind room for the rest.
func (s *deviceSource) readOne(free []byte) (int, unix.Errno) {
	if !s.large {
		s.iovs[0].Base = &free[0]
		s.iovs[0].SetLen(len(free))
		return readv(s.fd, s.iovs[:1])
	}
	if s.view == nil {
		s.view = buffer.NewViewSize(viewSize)
	}
	s.iovs[0].Base = &s.view.AsSlice()[0]
	s.iovs[0].SetLen(viewSize)
	if len(free) <= viewSize {
		return readv(s.fd, s.iovs[:1])
	}
	s.iovs[1].Base = &free[viewSize]
	s.iovs[1].SetLen(len(free) - viewSize)
	return readv(s.fd, s.iovs[:2])
}

func (s *deviceSource) close() {
	release(s.view)
	s.view = nil
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

func (s *socketSource) read(raw []received, size int) ([]received, unix.Errno) {
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
			raw = append(raw, received{})
			continue
		}
		at, k := i*s.slot, int(s.msgs[i].len)
		raw = append(raw, received{data: s.buf[at : at+k : at+k]})
		total += k
	}
	s.want = max(minBatch, min(maxBatch, batchBytes*n/max(total, 1)))
	return raw, 0
}

func (s *socketSource) close() {}

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
