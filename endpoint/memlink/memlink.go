// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package memlink is a link of bare IP packets whose other end is in memory: a
// VPN engine, a proxy, a test.
//
// The other end writes batches of packets for the stack (Write) and reads what
// the stack sends (Read), by the methods and with the meaning that they have in
// wireguard-go's tun.Device. Under an endpoint.Endpoint each Write is one batch
// to merge; without one every packet is delivered by itself. Either way the stack
// may send 64 KiB TCP packets, which Read splits into packets that fit the MTU.
//
//	link := memlink.New(nil)
//	s.CreateNIC(1, endpoint.New(link, nil))
//
// Who pushes and pulls single packets, as with channel.Endpoint, uses NewChannel.
//
// # When packets are dropped
//
// What the stack sends waits in a bounded queue. When that is full, TCP with GSO
// options, which comes from this stack's own senders, waits for a Read, at most
// 100 ms; if none came the link counts as stalled and drops until the next one.
// Everything else may be sent by the goroutine that is delivering (echo replies,
// resets, forwarded packets), which may be the one that reads: it never waits,
// and is dropped when a small reserve is used up too.
package memlink

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
)

// Config describes a Link. The zero Config, and nil, are the default.
type Config struct {
	// MTU is the largest IP packet that Read returns, in bytes. 0 means 1500.
	MTU uint32
	// RXChecksumOffload says that the checksums of what is written need no
	// verification, by anybody: it comes through an authenticated tunnel, or
	// from this machine.
	RXChecksumOffload bool
	// QueuePackets and QueueBytes bound what waits to be read; a super-packet
	// counts as one packet. 0 means 512 packets and 1 MiB: more only lets what
	// waits fall out of the caches.
	QueuePackets, QueueBytes int
}

const (
	defaultMTU          = 1500
	defaultQueuePackets = 512
	defaultQueueBytes   = 1 << 20

	// batchSize is wireguard-go's conn.IdealBatchSize.
	batchSize = 128

	// gsoMaxSize is what the IPv4 header can say.
	gsoMaxSize = 65535
)

var (
	// ErrClosed is returned by Read and Write once the link is closed. It
	// wraps os.ErrClosed.
	ErrClosed = fmt.Errorf("memlink: the link is closed: %w", os.ErrClosed)
	// ErrShortBuffer is returned by Read if the first buffer is too small for
	// the next packet, which stays for the next Read.
	ErrShortBuffer = errors.New("memlink: buffer too small: give Read buffers of offset + MTU bytes")
)

// Link is the link. It implements stack.LinkEndpoint and stack.GSOEndpoint for
// the stack, and Write, Read and BatchSize for the other end. All methods are
// safe for concurrent use.
type Link struct {
	cfg   Config
	queue queue

	mtu     atomic.Uint32
	current atomic.Pointer[attachment] // nil when detached

	mu      sync.Mutex // of what no packet needs
	address tcpip.LinkAddress
	closed  bool

	reader  reader
	batches sync.Pool // of *[]endpoint.Frame

	inbound counter
}

// attachment is the dispatcher of a Link.
type attachment struct {
	stack.NetworkDispatcher
	frames endpoint.FrameDispatcher // the same, if it is one
}

var (
	_ stack.LinkEndpoint = (*Link)(nil)
	_ stack.GSOEndpoint  = (*Link)(nil)
)

// New returns a Link. A nil Config, and a zero field in it, mean the default.
func New(cfg *Config) *Link {
	l := &Link{}
	if cfg != nil {
		l.cfg = *cfg
	}
	if l.cfg.MTU == 0 {
		l.cfg.MTU = defaultMTU
	}
	l.mtu.Store(l.cfg.MTU)
	l.queue.init(l.cfg.QueuePackets, l.cfg.QueueBytes)
	l.batches.New = func() any { return new([]endpoint.Frame) }
	return l
}

// BatchSize returns 128: the number of packets a Read or Write is best given.
// Fewer and more are allowed.
func (l *Link) BatchSize() int { return batchSize }

// MTU implements stack.LinkEndpoint.
func (l *Link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements stack.LinkEndpoint. It holds for every packet that Read has
// not begun to return.
func (l *Link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// LinkAddress implements stack.LinkEndpoint. It has no meaning for bare IP.
func (l *Link) LinkAddress() tcpip.LinkAddress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address
}

// SetLinkAddress implements stack.LinkEndpoint.
func (l *Link) SetLinkAddress(address tcpip.LinkAddress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = address
}

// Capabilities implements stack.LinkEndpoint.
func (l *Link) Capabilities() stack.LinkEndpointCapabilities {
	if l.cfg.RXChecksumOffload {
		return stack.CapabilityRXChecksumOffload
	}
	return stack.CapabilityNone
}

// GSOMaxSize implements stack.GSOEndpoint.
func (*Link) GSOMaxSize() uint32 { return gsoMaxSize }

// SupportedGSO implements stack.GSOEndpoint: Read splits.
func (*Link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Link) MaxHeaderLength() uint16 { return 0 }

// ARPHardwareType implements stack.LinkEndpoint.
func (*Link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.LinkEndpoint.
func (*Link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.LinkEndpoint.
func (*Link) ParseHeader(*stack.PacketBuffer) bool { return true }

// SetOnCloseAction implements stack.LinkEndpoint. It does nothing: a Link has no
// device to destroy.
func (*Link) SetOnCloseAction(func()) {}

// Wait implements stack.LinkEndpoint. A Link has no goroutines to wait for.
func (*Link) Wait() {}

// Attach implements stack.LinkEndpoint. With nil it wakes who waits for room and
// releases what is queued; it waits for nobody.
func (l *Link) Attach(dispatcher stack.NetworkDispatcher) {
	l.mu.Lock()
	if l.closed {
		dispatcher = nil
	}
	l.attach(dispatcher)
	l.mu.Unlock()
	l.queue.setAttached(dispatcher != nil)
	if dispatcher == nil {
		l.reader.detach()
	}
}

// attach is called with mu held.
func (l *Link) attach(dispatcher stack.NetworkDispatcher) {
	if dispatcher == nil {
		l.current.Store(nil)
		return
	}
	frames, _ := dispatcher.(endpoint.FrameDispatcher)
	l.current.Store(&attachment{dispatcher, frames})
}

// IsAttached implements stack.LinkEndpoint.
func (l *Link) IsAttached() bool { return l.current.Load() != nil }

// Close implements stack.LinkEndpoint. Read and Write return ErrClosed from now
// on, those that are blocked too, and everything queued is released. It waits
// for nobody but a Read that is copying.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.attach(nil)
	l.mu.Unlock()
	l.queue.close()
	l.reader.drop()
}

// Stats are a Link's counts since New.
type Stats struct {
	// Written counts packets taken by Write, Read those returned by Read.
	Written, Read uint64
	// Queued counts packets of the stack that joined the queue, super-packets
	// as one. DroppedFull counts those that found it full.
	Queued, DroppedFull uint64
	// DroppedDetached counts packets in either direction that met no stack,
	// or waited for Read when it left. DroppedNotIP counts written packets
	// that are neither IPv4 nor IPv6. DroppedUnsplittable counts packets of
	// the stack that exceed the MTU and cannot be split.
	DroppedDetached, DroppedNotIP, DroppedUnsplittable uint64
}

// Stats returns a snapshot.
func (l *Link) Stats() Stats {
	s := l.queue.stats()
	s.Written = l.inbound.written.Load()
	s.DroppedNotIP = l.inbound.notIP.Load()
	s.DroppedDetached += l.inbound.detached.Load()
	s.Read = l.reader.packets.Load()
	s.DroppedUnsplittable = l.reader.unsplittable.Load()
	return s
}
