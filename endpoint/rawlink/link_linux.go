// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
)

// Link is the link. It implements stack.LinkEndpoint and stack.GSOEndpoint. All
// methods are safe for concurrent use.
type Link struct {
	cfg    Config
	queues []*queue
	wakeFD int // an eventfd: readable while nobody may wait for a descriptor
	count  counters

	mtu     atomic.Uint32
	address atomic.Uint64 // as macOf makes it

	session atomic.Pointer[session] // nil when detached

	// sending is held for reading by WritePackets, and for writing by Close:
	// no descriptor is closed, and its number perhaps taken by another, while
	// somebody writes to it.
	sending sync.RWMutex
	writers sync.Pool // of *writer

	// mu serialises Attach and Close. Nothing on a packet's way takes it.
	mu      sync.Mutex
	closed  bool
	onClose func()
	readers sync.WaitGroup
	gone    chan struct{} // closed at the end of Close
}

var (
	_ stack.LinkEndpoint = (*Link)(nil)
	_ stack.GSOEndpoint  = (*Link)(nil)
)

// New returns a Link over cfg.FDs, which it owns from then on; if it fails they
// stay the caller's. It looks at each descriptor and refuses what it could not
// work with. Nothing is read before Attach.
func New(cfg *Config) (*Link, error) {
	l := &Link{cfg: *cfg, gone: make(chan struct{})}
	if err := l.configure(); err != nil {
		return nil, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("rawlink: making an eventfd: %w", err)
	}
	l.wakeFD = fd
	l.writers.New = func() any { return newWriter(l) }
	return l, nil
}

func (l *Link) configure() error {
	cfg := &l.cfg
	if len(cfg.FDs) == 0 {
		return fmt.Errorf("rawlink: no descriptors: give Config.FDs at least one, as OpenTUN, OpenTAP and OpenPacket do")
	}
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	l.mtu.Store(cfg.MTU)
	if cfg.Ethernet && cfg.Address == "" {
		cfg.Address = tcpip.GetRandMacAddr()
	}
	if cfg.Ethernet && len(cfg.Address) != header.EthernetAddressSize {
		return fmt.Errorf("rawlink: Config.Address has %d bytes: a MAC address has 6", len(cfg.Address))
	}
	l.SetLinkAddress(cfg.Address)
	if cfg.RingBytes > 0 && cfg.VnetHdr {
		return fmt.Errorf("rawlink: Config.RingBytes and Config.VnetHdr exclude each other: 64 KiB super-packets would need a ring of places for nothing smaller")
	}
	for _, fd := range cfg.FDs {
		q, err := newQueue(fd, cfg)
		if err != nil {
			return err
		}
		l.queues = append(l.queues, q)
	}
	return joinFanout(l.queues)
}

// A session is the time between an Attach and the Attach(nil) that ends it.
type session struct {
	target  atomic.Pointer[target]
	stopped atomic.Bool // readers leave, writers drop

	reason  atomic.Pointer[error] // why it stopped by itself
	running atomic.Int32          // readers that have not left
	quiet   chan struct{}         // closed once no reader touches a descriptor
	once    sync.Once
}

// Attach implements stack.LinkEndpoint. It starts a goroutine for each
// descriptor. With nil it stops them, and returns as soon as none touches its
// descriptor; one that is delivering leaves when it has. Another dispatcher
// takes the place of the one before. After Close it does nothing.
//
// A device with virtio_net_hdr is asked for super-packets if, and only if, the
// dispatcher is an endpoint.FrameDispatcher.
func (l *Link) Attach(dispatcher stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if dispatcher == nil {
		l.detach()
		return
	}
	if l.closed {
		return
	}
	t := newTarget(dispatcher)
	for _, q := range l.queues {
		q.request(t.frames != nil)
	}
	if s := l.session.Load(); s != nil {
		s.target.Store(t)
		return
	}
	l.start(t)
}

// start is called with mu held and no session.
func (l *Link) start(t *target) {
	s := &session{quiet: make(chan struct{})}
	s.target.Store(t)
	s.running.Store(int32(len(l.queues)))
	l.calm()
	for _, q := range l.queues {
		q.forget()
	}
	l.session.Store(s)
	for _, q := range l.queues {
		l.readers.Add(1)
		go newReader(l, q, s).run()
	}
}

// detach is called with mu held.
func (l *Link) detach() {
	s := l.session.Load()
	if s == nil {
		return
	}
	s.stopped.Store(true)
	l.wake()
	// A reader holds this for as long as it may touch the descriptor, and not
	// while it delivers: netstack may hold a lock that the delivery needs.
	for _, q := range l.queues {
		q.reading.Lock()
		q.reading.Unlock() //lint:ignore SA2001 waiting for the reader is all
	}
	s.end()
	l.session.Store(nil)
}

func (s *session) end() { s.once.Do(func() { close(s.quiet) }) }

// stop ends a session from within: the readers leave, the last of them reports.
// Only the first reason counts.
func (l *Link) stop(s *session, reason error) {
	if s.stopped.Load() || !s.reason.CompareAndSwap(nil, &reason) {
		return
	}
	s.stopped.Store(true)
	l.wake()
}

// left is called by each reader when it will not touch its descriptor again, and
// delivers nothing more.
func (l *Link) left(s *session) {
	if s.running.Add(-1) > 0 {
		return
	}
	s.end()
	if reason := s.reason.Load(); reason != nil && l.cfg.Stopped != nil {
		go l.cfg.Stopped(*reason)
	}
}

// wake makes everybody return who waits in poll. It lasts until calm.
func (l *Link) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// It fails only where it has been written to 2^64-2 times unread.
	iov := unix.Iovec{Base: &one[0]}
	iov.SetLen(len(one))
	writev(l.wakeFD, []unix.Iovec{iov})
}

func (l *Link) calm() {
	var count [8]byte
	iov := unix.Iovec{Base: &count[0]}
	iov.SetLen(len(count))
	readv(l.wakeFD, []unix.Iovec{iov})
}

// IsAttached implements stack.LinkEndpoint.
func (l *Link) IsAttached() bool { return l.session.Load() != nil }

// Wait implements stack.LinkEndpoint. It returns when nobody reads any more: after
// Attach(nil), or when the link has stopped by itself. It does not wait for a
// delivery under way after Attach(nil); Close does.
func (l *Link) Wait() {
	if s := l.session.Load(); s != nil {
		<-s.quiet
	}
}

// Err says why the link has stopped by itself since it was attached last, nil if
// it has not. The error wraps the kernel's (unix.ENETDOWN, unix.EBADFD) where
// there is one, and io.EOF where the peer has closed.
func (l *Link) Err() error {
	if s := l.session.Load(); s != nil {
		if reason := s.reason.Load(); reason != nil {
			return *reason
		}
	}
	return nil
}

// Close implements stack.LinkEndpoint. It detaches, waits for all goroutines of
// the Link and for those in WritePackets, and closes the descriptors. It must not
// be called from a delivery, nor under a lock that a delivery needs; netstack
// itself calls it outside its locks.
func (l *Link) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.detach()
	onClose := l.onClose
	l.mu.Unlock()
	if !first {
		<-l.gone
		return
	}
	l.readers.Wait()
	if onClose != nil {
		onClose()
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	for _, q := range l.queues {
		if q.ring != nil {
			unix.Munmap(q.ring.mem)
		}
		unix.Close(q.fd)
	}
	unix.Close(l.wakeFD)
	close(l.gone)
}

// SetOnCloseAction implements stack.LinkEndpoint: the action is executed once, in
// Close, when nobody reads any more and before the descriptors are closed.
func (l *Link) SetOnCloseAction(action func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = action
}

// Stats returns a snapshot.
func (l *Link) Stats() Stats { return l.count.snapshot() }

// Offloads returns what the device has granted: those super-packets arrive under
// an endpoint. An AF_PACKET socket and a socketpair with virtio_net_hdr are not
// asked, and pass on whatever comes.
func (l *Link) Offloads() Offloads { return l.queues[0].granted }

// MTU implements stack.LinkEndpoint.
func (l *Link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements stack.LinkEndpoint. It does not change the device's.
func (l *Link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (l *Link) MaxHeaderLength() uint16 { return uint16(l.linkHdrLen()) }

func (l *Link) linkHdrLen() int {
	if l.cfg.Ethernet {
		return header.EthernetMinimumSize
	}
	return 0
}

// Capabilities implements stack.LinkEndpoint.
func (l *Link) Capabilities() stack.LinkEndpointCapabilities {
	caps := stack.CapabilityNone
	if l.cfg.RXChecksumOffload {
		caps |= stack.CapabilityRXChecksumOffload
	}
	if l.cfg.Ethernet {
		caps |= stack.CapabilityResolutionRequired
	}
	return caps
}

// GSOMaxSize implements stack.GSOEndpoint.
func (*Link) GSOMaxSize() uint32 { return gsoMaxSize }

// SupportedGSO implements stack.GSOEndpoint: what the descriptor does not take
// whole is split before it is written.
func (*Link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// outbound is what package outbound has to know.
func (l *Link) outbound() outbound.Link {
	return outbound.Link{MTU: l.MTU(), Ethernet: l.cfg.Ethernet}
}
