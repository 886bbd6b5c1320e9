// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A sink is where frames come out.
type sink interface {
	// next takes a frame without waiting; ok is false if there is none.
	next() (f Frame, ok bool, err error)
	fd() int
}

// wait waits until there is something in the sink, or not for longer than limit.
func wait(s sink, limit time.Duration) (bool, error) {
	end := time.Now().Add(limit)
	for {
		fds := []unix.PollFd{{Fd: int32(s.fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(0, (time.Until(end)+time.Millisecond-1)/time.Millisecond)))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false, failure("poll", err)
		default:
			return n > 0, nil
		}
	}
}

// A sentinel is a frame that shows by its coming out that everything before it has.
type sentinel struct {
	frame [60]byte
	sent  uint64
}

func newSentinel() *sentinel {
	s := &sentinel{}
	copy(s.frame[:], []byte{2, 's', 'e', 'n', 't', 2, 2, 's', 'e', 'n', 't', 1})
	binary.BigEndian.PutUint16(s.frame[12:], 0x88b5) // experimental (IEEE 802, local)
	rand.Read(s.frame[14:30])
	return s
}

// next is the next sentinel, unlike all others.
func (s *sentinel) next() []byte {
	s.sent++
	binary.BigEndian.PutUint64(s.frame[30:], s.sent)
	return s.frame[:]
}

// collect appends what comes out until the sentinel sent last does. What is before an
// older one was the answer to a question that failed.
func (s *sentinel) collect(frames []Frame, from sink) ([]Frame, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		f, ok, err := from.next()
		switch {
		case err != nil:
			return frames, err
		case !ok:
			if _, err := wait(from, patience); err != nil {
				return frames, err
			}
		case bytes.Equal(f.Data, s.frame[:]):
			return frames, nil
		case s.is(f.Data):
			frames = nil
		default:
			frames = append(frames, f)
		}
	}
	return frames, errors.New("kernel: a sentinel did not come out")
}

// is reports whether a frame is a sentinel, perhaps an old one.
func (s *sentinel) is(frame []byte) bool {
	return len(frame) == len(s.frame) && bytes.Equal(frame[:30], s.frame[:30])
}

// check refuses what cannot be asked.
func check(burst [][]byte) error {
	if len(burst) > MaxBurst {
		return fmt.Errorf("kernel: a burst of %d frames, more than %d", len(burst), MaxBurst)
	}
	for i, f := range burst {
		if len(f) < 14 || len(f) > MaxFrame {
			return fmt.Errorf("kernel: frame %d has %d bytes, not 14 to %d", i, len(f), MaxFrame)
		}
	}
	return nil
}

// swallowed reports whether the kernel drops a frame before anyone sees it, for having
// a VLAN ethertype and less than a tag and what it tags (skb_vlan_untag).
func swallowed(frame []byte) bool {
	kind := binary.BigEndian.Uint16(frame[12:])
	return (kind == unix.ETH_P_8021Q || kind == unix.ETH_P_8021AD) && len(frame) < 20
}
