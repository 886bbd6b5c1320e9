// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// grace is how long a burst may stay incomplete before sentinels say what became
	// of it. Any value is right; this one seldom asks in vain.
	grace = 2 * time.Millisecond
	// tries bounds how often a burst is asked that would not be one poll.
	tries = 1000
)

// openings spreads sources over the CPUs.
var openings atomic.Uint32

// A source is a TAP device whose bursts are one NAPI poll each. It belongs to the
// thread that opened it, which is under SCHED_FIFO from then on.
type source struct {
	tap     *tap
	mark    *sentinel
	iov     [MaxBurst][2]unix.Iovec
	header  [vnetHdrLen]byte
	retries atomic.Int64
}

// openSource makes a device that is not up yet.
func openSource(c control, s sysfs) (*source, error) {
	t, err := openTAP(unix.IFF_NAPI | unix.IFF_VNET_HDR)
	if err != nil {
		return nil, err
	}
	src := &source{tap: t, mark: newSentinel()}
	if err := src.configure(c, s); err != nil {
		t.close()
		return nil, err
	}
	return src, nil
}

func (s *source) configure(c control, sys sysfs) error {
	if err := c.enable(s.tap.name, "rx-udp-gro-forwarding"); err != nil {
		return err
	}
	for _, p := range []struct{ name, value string }{
		{"threaded", "1"},
		// A poll that ends gives up everything it holds.
		{"gro_flush_timeout", "0"},
		{"napi_defer_hard_irqs", "0"},
	} {
		if err := sys.write(s.tap.name, p.name, p.value); err != nil {
			return err
		}
	}
	poller, err := pollThread(s.tap.name)
	if err != nil {
		return err
	}
	cpu, err := aCPU(int(openings.Add(1)) + unix.Getpid())
	if err != nil {
		return err
	}
	if err := pin(poller, cpu, pollPriority); err != nil {
		return err
	}
	return pin(0, cpu, writerPriority)
}

// ask sends a burst and collects what comes out, in its order.
func (s *source) ask(burst [][]byte, out sink) ([]Frame, error) {
	if err := check(burst); err != nil {
		return nil, err
	}
	for range tries {
		frames, whole, err := s.attempt(burst, out)
		if err != nil {
			s.flush(nil, out) // what was written is not the next burst's
			return nil, err
		}
		if whole {
			return frames, nil
		}
		s.retries.Add(1)
	}
	return nil, errors.New("kernel: no burst was a poll of its own")
}

func (s *source) attempt(burst [][]byte, out sink) (frames []Frame, whole bool, err error) {
	if whole, err = s.write(burst); err != nil {
		return nil, false, err
	}
	frames, err = s.collect(burst, out)
	return frames, whole, err
}

// write queues frames for the poll. They are a poll of their own if whole: as long as
// this thread has its CPU the kernel's does not. Nothing here may enter Go's scheduler,
// hence system calls that it does not know of.
func (s *source) write(frames [][]byte) (whole bool, err error) {
	for i, f := range frames {
		s.iov[i][0].Base, s.iov[i][1].Base = &s.header[0], &f[0]
		s.iov[i][0].SetLen(vnetHdrLen)
		s.iov[i][1].SetLen(len(f))
	}
	before, err := switches()
	if err != nil {
		return false, failure("counting context switches", err)
	}
	for i := range frames {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(s.tap.fd), uintptr(unsafe.Pointer(&s.iov[i])), 2)
		if errno != 0 {
			return false, failure(fmt.Sprintf("writing frame %d of %d bytes", i, len(frames[i])), errno)
		}
	}
	after, err := switches()
	return before == after, failure("counting context switches", err)
}

// collect takes what became of a burst. Every frame received stands for some of those
// written; when they are all accounted for, nothing is left to come. Otherwise two
// sentinels tell: the first may be in the burst's poll, and then leaves it before the
// packets that GRO holds; the second is not, as the first has left by then.
func (s *source) collect(burst [][]byte, out sink) (frames []Frame, err error) {
	missing := 0
	for _, f := range burst {
		if !swallowed(f) {
			missing++
		}
	}
	for missing > 0 {
		f, ok, err := out.next()
		if err != nil {
			return nil, err
		}
		if ok {
			frames = append(frames, f)
			missing -= f.Packets()
			continue
		}
		some, err := wait(out, grace)
		if err != nil {
			return nil, err
		}
		if !some {
			return s.flush(frames, out)
		}
	}
	return frames, nil
}

// flush collects everything that is on its way.
func (s *source) flush(frames []Frame, out sink) ([]Frame, error) {
	for range 2 {
		err := s.sendMark()
		if err != nil {
			return nil, err
		}
		if frames, err = s.mark.collect(frames, out); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

func (s *source) sendMark() error {
	_, err := s.write([][]byte{s.mark.next()})
	return err
}
