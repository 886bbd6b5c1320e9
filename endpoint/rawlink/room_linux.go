// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long is waited for room while nothing can be written,
	// and maxWait how long in all for one batch.
	patience = 10 * time.Millisecond
	maxWait  = 100 * time.Millisecond
	// firstPause and maxPause are between attempts where the kernel cannot tell
	// when there will be room: ENOBUFS comes from a queue behind the socket's.
	firstPause = 50 * time.Microsecond
	maxPause   = time.Millisecond
)

// flush writes the frames taken so far, or drops and counts them.
func (w *writer) flush() {
	if w.n == 0 {
		return
	}
	if w.q.socket {
		w.prepareMessages()
	}
	var room roomWait
	for i := 0; i < w.n; {
		sent, errno := w.write(i)
		if sent > 0 {
			w.sent(i, sent)
			room.progress()
			i += sent
		}
		switch {
		case errno == 0 || errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			if !room.wait(w, errno) {
				w.dropFrom(i, w.n, &w.l.count.full)
				i = w.n
			}
		case w.q.fatal(errno):
			w.l.stop(w.s, w.q.gone(errno))
			w.dropFrom(i, w.n, &w.l.count.refused)
			i = w.n
		case ofDevice(errno):
			w.dropFrom(i, w.n, &w.l.count.refused)
			i = w.n
		default: // of this frame
			w.dropFrom(i, i+1, &w.l.count.refused)
			i++
		}
	}
	clear(w.iovs) // what they refer to is not ours
	clear(w.parts)
	w.n, w.used, w.iovs, w.parts = 0, 0, w.iovs[:0], w.parts[:0]
}

// write writes frames from i on, as many as one call takes.
func (w *writer) write(i int) (sent int, errno unix.Errno) {
	w.l.count.writes.Add(1)
	if w.q.socket {
		sent, errno = sendmmsg(w.q.fd, w.msgs[i:w.n])
		if errno != 0 {
			sent = 0
		}
		return sent, errno
	}
	if _, errno = writev(w.q.fd, w.iovs[w.begin(i):w.frames[i].end]); errno != 0 {
		return 0, errno
	}
	return 1, 0
}

// begin is where frame i begins in iovs.
func (w *writer) begin(i int) int {
	if i == 0 {
		return 0
	}
	return w.frames[i-1].end
}

// prepareMessages is called when iovs grows no more.
func (w *writer) prepareMessages() {
	for i := range w.n {
		begin := w.begin(i)
		w.msgs[i].hdr.Iov = &w.iovs[begin]
		w.msgs[i].hdr.SetIovlen(w.frames[i].end - begin)
	}
}

func (w *writer) sent(i, n int) {
	w.q.stalled.Store(false)
	super := uint64(0)
	for _, f := range w.frames[i : i+n] {
		if f.super {
			super++
		}
	}
	w.l.count.sent.Add(uint64(n))
	w.l.count.sentSuper.Add(super)
}

// dropFrom drops frames i to end-1.
func (w *writer) dropFrom(i, end int, count *atomic.Uint64) {
	count.Add(uint64(end - i))
	for ; i < end; i++ {
		w.drop(w.frames[i].packet)
	}
}

// fatal reports whether after errno nothing can be written any more.
func (q *queue) fatal(errno unix.Errno) bool {
	switch errno {
	case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN, unix.EBADFD, unix.EBADF:
		return true
	case unix.ECONNREFUSED:
		// Of a UDP socket it is an ICMP message, which may be the last.
		return q.domain == unix.AF_UNIX
	}
	return false
}

// ofDevice reports whether the frames that follow would meet with the same: the
// device is down (EIO of a TUN, ENETDOWN, ENXIO) or away.
func ofDevice(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.ENETDOWN || errno == unix.ENXIO || errno == unix.ENODEV
}

// roomWait is the waiting of one flush. The zero value has not waited.
type roomWait struct {
	until, end time.Time
	pause      time.Duration // 0 where poll may say when there is room
}

// wait waits for room and returns true if another attempt is worth while. Nobody
// waits on a queue that has stalled.
func (r *roomWait) wait(w *writer, errno unix.Errno) bool {
	if w.q.stalled.Load() || w.s.stopped.Load() {
		return false
	}
	now := time.Now()
	if r.end.IsZero() {
		r.end = now.Add(maxWait)
	}
	if r.until.IsZero() {
		r.until = now.Add(patience)
	}
	left := min(r.until.Sub(now), r.end.Sub(now))
	if left <= 0 {
		w.q.stalled.Store(true)
		return false
	}
	w.poll[0] = unix.PollFd{Fd: int32(w.l.wakeFD), Events: unix.POLLIN}
	w.poll[1] = unix.PollFd{Fd: int32(w.q.fd), Events: unix.POLLOUT}
	watched := w.poll[:]
	if errno == unix.ENOBUFS || r.pause > 0 {
		// poll would say at once that there is room.
		r.pause = min(max(2*r.pause, firstPause), maxPause)
		left = min(left, r.pause)
		watched = w.poll[:1]
	} else {
		r.pause = firstPause // unless the next write gets through
	}
	timeout := unix.NsecToTimespec(left.Nanoseconds())
	poll(watched, &timeout)
	return true
}

// progress notes that something could be written.
func (r *roomWait) progress() {
	r.until, r.pause = time.Time{}, 0
}
