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
	fd      int
	super   bool // there may be super-packets, and somebody may keep their views
	useRead bool // read in place of readv, where one buffer is enough
	arena   []byte
	iovs    [2]unix.Iovec

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
		got := received{data: free[:n:n]}
		switch {
		case n > size:
			got.data = nil
		case s.large && n >= viewFrom && n <= viewSize:
			s.view.CapLength(n)
			got = received{s.view.AsSlice(), s.view}
			s.view = nil
			inViews += n
		default:
			if s.large {
				copy(free, s.view.AsSlice()[:min(n, viewSize)])
			}
			free = free[min(aligned(n), len(free)):]
		}
		raw = append(raw, got)
		s.large = s.super && n >= viewFrom
	}
	return raw, 0
}

// readOne reads a frame into free or, if it may be expected to be large, into the view
// and what does not fit there into free, behind room for the rest. A super-packet may
// be larger than a view.
func (s *deviceSource) readOne(free []byte) (int, unix.Errno) {
	if !s.large && s.useRead {
		return read(s.fd, free)
	}
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
	s.iovs[1].Base = &free[viewSize]
	s.iovs[1].SetLen(len(free) - viewSize)
	return readv(s.fd, s.iovs[:2])
}

func (s *deviceSource) close() {
	release(s.view)
	s.view = nil
}

// socketSource reads a socket, many frames a call. How many it asks for, and whether
// into views that the stack can keep, depends on how large the last ones were.
type socketSource struct {
	fd    int
	super bool // there may be super-packets, and somebody may keep their views
	size  int
	want  int
	slot  int
	buf   []byte
	iovs  [maxBatch][2]unix.Iovec
	msgs  [maxBatch]mmsghdr

	views [maxBatch]*buffer.View // in place of a slot, or nil
	large bool                   // the last frames were, on average
}

func (s *socketSource) read(raw []received, size int) ([]received, unix.Errno) {
	if s.size != size {
		s.prepare(size)
	}
	for i := range s.want {
		if s.large == (s.views[i] == nil) {
			s.place(i)
		}
	}
	n, errno := recvmmsg(s.fd, s.msgs[:s.want])
	if errno != 0 {
		return raw, errno
	}
	total := 0
	for i := range n {
		raw = append(raw, s.take(i))
		total += int(s.msgs[i].len)
	}
	s.want = max(minBatch, min(maxBatch, batchBytes*n/max(total, 1)))
	s.large = s.super && total >= n*viewFrom
	return raw, 0
}

// take returns message i.
func (s *socketSource) take(i int) received {
	at, n := i*s.slot, int(s.msgs[i].len)
	slot, view := s.buf[at:at+s.slot], s.views[i]
	switch {
	case s.msgs[i].hdr.Flags&unix.MSG_TRUNC != 0:
		return received{}
	case view == nil:
		return received{data: slot[:n:n]}
	case n < viewFrom:
		return received{data: view.AsSlice()[:n:n]}
	case n > viewSize:
		copy(slot, view.AsSlice())
		return received{data: slot[:n:n]}
	}
	s.views[i] = nil
	s.point(i)
	view.CapLength(n)
	return received{view.AsSlice(), view}
}

// prepare makes buffers for frames of that size. They are touched only where
// something is read into them.
func (s *socketSource) prepare(size int) {
	s.close()
	s.size, s.want = size, maxBatch
	s.slot = aligned(size)
	s.buf = make([]byte, maxBatch*s.slot)
	for i := range s.msgs {
		s.msgs[i].hdr.Iov = &s.iovs[i][0]
		s.point(i)
	}
}

// place gives message i a view, or takes it away.
func (s *socketSource) place(i int) {
	if s.large {
		s.views[i] = buffer.NewViewSize(viewSize)
	} else {
		s.views[i].Release()
		s.views[i] = nil
	}
	s.point(i)
}

// point says where message i is read to: its slot or, as far as that holds it, its
// view, which a super-packet may exceed.
func (s *socketSource) point(i int) {
	iovs, slot := &s.iovs[i], s.buf[i*s.slot:][:s.size]
	parts := 1
	if v := s.views[i]; v != nil {
		b := v.AsSlice()
		iovs[0].Base = &b[0]
		iovs[0].SetLen(len(b))
		iovs[1].Base = &slot[len(b)]
		iovs[1].SetLen(s.size - len(b))
		parts = 2
	} else {
		iovs[0].Base = &slot[0]
		iovs[0].SetLen(s.size)
	}
	s.msgs[i].hdr.SetIovlen(parts)
}

func (s *socketSource) close() {
	for i, v := range s.views {
		release(v)
		s.views[i] = nil
	}
	s.large = false
}
