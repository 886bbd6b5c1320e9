// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringSource reads an AF_PACKET socket from memory that the kernel writes to
// (TPACKET_V2, linux/if_packet.h), with no system call while there is something.
// Version 3 would fill larger blocks, but hands them over when full, or after a
// millisecond at the earliest.
type ringSource struct {
	// owner is held by a reader for as long as it runs: frames that it is still
	// delivering must not be given back by the reader of the next session.
	owner sync.Mutex
	mem   []byte
	slot  int // bytes of a frame's place
	count int
	next  int // the place to be read next
	held  int // places before it that are still ours
}

const (
	// ringFront is more than stands in front of a frame in its place: the header,
	// a sockaddr_ll, and what aligns the network header.
	ringFront = 128
	// ringBlock is what the kernel allocates in one piece.
	ringBlock = 64 << 10
)

// newRing gives the socket a ring of about that many bytes.
func (q *queue) newRing(size, frame int) (*ringSource, error) {
	slot := 1 << bits.Len(uint(frame+ringFront-1))
	block := max(slot, ringBlock)
	blocks := max(1, size/block)
	if err := unix.SetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("rawlink: %s: PACKET_VERSION: %w", q.name, err)
	}
	req := unix.TpacketReq{
		Block_size: uint32(block),
		Block_nr:   uint32(blocks),
		Frame_size: uint32(slot),
		Frame_nr:   uint32(blocks * (block / slot)),
	}
	if err := unix.SetsockoptTpacketReq(q.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("rawlink: %s: PACKET_RX_RING of %d bytes: %w", q.name, block*blocks, err)
	}
	mem, err := unix.Mmap(q.fd, 0, block*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("rawlink: %s: mapping its ring: %w", q.name, err)
	}
	return &ringSource{mem: mem, slot: slot, count: int(req.Frame_nr)}, nil
}

func (s *ringSource) header(i int) *unix.Tpacket2Hdr {
	return (*unix.Tpacket2Hdr)(unsafe.Pointer(&s.mem[i*s.slot]))
}

// read gives back what the last read returned, and returns what has come since.
func (s *ringSource) read(raw []received, size int) ([]received, unix.Errno) {
	for ; s.held > 0; s.held-- {
		hdr := s.header((s.next - s.held + s.count) % s.count)
		atomic.StoreUint32(&hdr.Status, unix.TP_STATUS_KERNEL)
	}
	// No more than there are: those read are still marked as ours.
	for len(raw) < min(maxBatch, s.count) {
		hdr := s.header(s.next)
		if atomic.LoadUint32(&hdr.Status)&unix.TP_STATUS_USER == 0 {
			break
		}
		place := s.mem[s.next*s.slot : (s.next+1)*s.slot]
		n := min(int(hdr.Snaplen), len(place)-int(hdr.Mac))
		frame := place[hdr.Mac:][:n:n]
		if int(hdr.Len) > n || n > size {
			frame = nil
		}
		raw = append(raw, received{data: frame})
		s.next = (s.next + 1) % s.count
		s.held++
	}
	if len(raw) == 0 {
		return raw, unix.EAGAIN
	}
	return raw, 0
}

// close leaves the ring to the next session's reader.
func (s *ringSource) close() {}
