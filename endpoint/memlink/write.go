// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink

import (
	"fmt"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
)

// counter counts the writing side.
type counter struct {
	written, notIP, detached atomic.Uint64
}

// Write hands the stack one batch of IP packets, each of which begins at offset
// in its buffer and ends with it. All are delivered, or dropped and counted, on
// return; the buffers are the caller's again. It never waits for room, and may be
// called from several goroutines, as long as each flow comes from one at a time.
//
// It returns the number of packets taken, which is all of them but for errors:
// ErrClosed, and an offset that lies outside a buffer, when none is taken.
func (l *Link) Write(bufs [][]byte, offset int) (int, error) {
	for i, b := range bufs {
		if offset < 0 || offset > len(b) {
			return 0, fmt.Errorf("memlink: Write offset %d lies outside buffer %d of %d bytes", offset, i, len(b))
		}
	}
	switch a := l.current.Load(); {
	case a == nil:
		if l.isClosed() {
			return 0, ErrClosed
		}
		l.inbound.detached.Add(uint64(len(bufs)))
	case a.frames != nil:
		l.writeFrames(a.frames, bufs, offset)
	default:
		l.writePackets(a, bufs, offset)
	}
	l.inbound.written.Add(uint64(len(bufs)))
	return len(bufs), nil
}

func (l *Link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Link) writeFrames(d endpoint.FrameDispatcher, bufs [][]byte, offset int) {
	batch := l.batches.Get().(*[]endpoint.Frame)
	defer l.batches.Put(batch)
	frames := (*batch)[:0]
	for _, b := range bufs {
		data := b[offset:]
		if protocol, ok := l.protocol(data); ok {
			frames = append(frames, endpoint.Frame{Data: data, Protocol: protocol})
		}
	}
	d.DeliverFrames(frames)
	clear(frames) // the buffers are the caller's again
	*batch = frames
}

func (l *Link) writePackets(d stack.NetworkDispatcher, bufs [][]byte, offset int) {
	for _, b := range bufs {
		data := b[offset:]
		protocol, ok := l.protocol(data)
		if !ok {
			continue
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
			Payload: buffer.MakeWithData(data),
		})
		d.DeliverNetworkPacket(protocol, pkt)
		pkt.DecRef()
	}
}

// protocol tells the network protocol by the version field: bare IP has no other
// sign of it.
func (l *Link) protocol(data []byte) (tcpip.NetworkProtocolNumber, bool) {
	switch header.IPVersion(data) {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber, true
	case header.IPv6Version:
		return header.IPv6ProtocolNumber, true
	}
	l.inbound.notIP.Add(1)
	return 0, false
}
