// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// captured is what passes a kernel's own device, as IP packets of TCP, in packets
// as on a wire.
type captured struct {
	k    *kernel
	fd   int
	done sync.WaitGroup
	end  chan struct{}

	mu      sync.Mutex
	out, in [][]byte
	frozen  bool     // in is complete
	tooBig  [][]byte // ICMP errors about the MTU that came in
	missed  uint32
}

// capture begins to capture. Super-packets that the kernel makes are split by their
// virtio_net_hdr. All that a test sends finds room, so that nothing is missed
// however slow this is.
func capture(k *kernel) *captured {
	k.t.Helper()
	c := &captured{k: k, end: make(chan struct{})}
	k.do(func() (err error) {
		index, err := rtnetlink.Index(k.device)
		if err == nil {
			c.fd, err = open(index)
		}
		return err
	})
	c.done.Go(c.run)
	return c
}

// open opens a packet socket on a device of the thread's namespace.
func open(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network byte order
	if err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 10000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: index}),
	); err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// stop ends the capture, when all that has passed is read.
func (c *captured) stop() {
	c.k.t.Helper()
	close(c.end)
	c.done.Wait()
	unix.Close(c.fd)
	if c.missed > 0 {
		c.k.t.Fatalf("the capture missed %d frames", c.missed)
	}
}

func (c *captured) sent() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out
}

func (c *captured) received() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in
}

// freeze leaves out what comes in from now on.
func (c *captured) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}

func (c *captured) run() {
	buf := make([]byte, 1<<17)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil { // nothing for a while
			select {
			case <-c.end:
				if s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
					c.missed = s.Drops
				}
				return
			default:
				continue
			}
		}
		packets := c.read(buf[:n])
		ll, ok := from.(*unix.SockaddrLinklayer)
		c.mu.Lock()
		switch {
		case ok && ll.Pkttype == unix.PACKET_OUTGOING:
			c.out = append(c.out, packets...)
		case !c.frozen:
			c.in = append(c.in, packets...)
		}
		c.mu.Unlock()
	}
}

// read returns the packets in one frame, behind its virtio_net_hdr.
func (c *captured) read(b []byte) [][]byte {
	size := int(binary.NativeEndian.Uint16(b[4:]))
	complete := b[0]&1 == 0
	ip := b[10:]
	if !c.k.wire.tun {
		ip = ip[14:]
	}
	l4, ok := tcpOf(ip)
	if !ok {
		if isTooBig(ip) {
			c.mu.Lock()
			c.tooBig = append(c.tooBig, append([]byte{}, ip...))
			c.mu.Unlock()
		}
		return nil
	}
	ip = ip[:ipLen(ip)] // without padding
	if complete && !packettest.TCPValid(ip, l4) {
		c.k.t.Errorf("a packet with a wrong checksum passed %s", c.k.device)
	}
	if b[1] == 0 {
		size = len(ip)
	}
	return wirePackets(ip, l4, size)
}

// wirePackets cuts a packet as the kernel's TSO does, and neutralizes each piece.
func wirePackets(ip []byte, l4, size int) (out [][]byte) {
	payload := l4 + int(ip[l4+12]>>4)*4
	for at, i := payload, 0; i == 0 || at < len(ip); i++ {
		n := min(size, len(ip)-at)
		p := append(append([]byte{}, ip[:payload]...), ip[at:at+n]...)
		at += n
		binary.BigEndian.PutUint32(p[l4+4:], binary.BigEndian.Uint32(p[l4+4:])+uint32(i*size))
		if at < len(ip) {
			p[l4+13] &^= 1 | 8 // FIN, PSH
		}
		if i > 0 {
			p[l4+13] &^= 0x80 // CWR
		}
		if l4 == 40 {
			binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
		} else {
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
			binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(i))
		}
		neutralize(p, l4)
		out = append(out, p)
	}
	return out
}

// neutralize takes out of a packet, or of its beginning, what a router or another
// checksum state changes: TTL or hop limit and checksums.
func neutralize(ip []byte, l4 int) {
	if l4 == 40 {
		ip[7] = 0
	} else {
		ip[8], ip[10], ip[11] = 0, 0, 0
	}
	if len(ip) >= l4+18 {
		ip[l4+16], ip[l4+17] = 0, 0
	}
}

// flows sorts packets by their connection and direction.
func flows(packets [][]byte) map[[2]netip.AddrPort][][]byte {
	m := map[[2]netip.AddrPort][][]byte{}
	for _, ip := range packets {
		at, n, l4 := 12, 4, 20
		if ip[0]>>4 == 6 {
			at, n, l4 = 8, 16, 40
		}
		end := func(addr []byte, port int) netip.AddrPort {
			a, _ := netip.AddrFromSlice(addr)
			return netip.AddrPortFrom(a, binary.BigEndian.Uint16(ip[l4+port:]))
		}
		key := [2]netip.AddrPort{end(ip[at:at+n], 0), end(ip[at+n:at+2*n], 2)}
		m[key] = append(m[key], ip)
	}
	return m
}

// crossing is what one kernel sent and the other received.
type crossing struct {
	what           string
	sent, received [][]byte
	early          int // of sent, that had time to arrive
	mtu            int // of the second half of the way
	dropped        int // packets, at most, that are known to be lost
}

// check wants what was received to be what was sent, packet by packet of each flow.
// What is missing has been lost on the way: because it is too large for the second
// half of it, or where it was counted. In order, too, but for packets that two
// processors of the sender send at the same time, which may pass the capture in
// another order than the wire.
func (c *crossing) check(t *testing.T) {
	t.Helper()
	all := flows(c.sent)
	passed, swapped := 0, 0
	arrived := map[*byte]bool{}
	for key, got := range flows(c.received) {
		want := all[key]
		first, last := 0, 0 // not yet passed, and of the packet before
		for i, p := range got {
			for first < len(want) && arrived[&want[first][0]] {
				first++
			}
			at := first
			for at < len(want) && (arrived[&want[at][0]] || string(want[at]) != string(p)) {
				at++
			}
			if at == len(want) {
				t.Fatalf("%s, %v: packet %d of %d, of %d bytes, was not sent like that:\n% x", c.what, key, i, len(got), len(p), p[:min(len(p), 80)])
			}
			if at < last {
				swapped++
			}
			arrived[&want[at][0]], last = true, at
			passed++
		}
	}
	tooLarge, lost := 0, 0
	for _, p := range c.sent[:c.early] {
		switch {
		case arrived[&p[0]]:
		case len(p) > c.mtu:
			tooLarge++
		default:
			lost++
		}
	}
	t.Logf("%s: %d packets passed, %d were too large, %d got lost, of %d counted, %d swapped", c.what, passed, tooLarge, lost, c.dropped, swapped)
	if passed == 0 || lost > c.dropped || swapped > passed/10 {
		t.Errorf("%s: of %d packets %d passed, %d got lost, and at most %d were counted as dropped, %d swapped", c.what, len(c.sent), passed, lost, c.dropped, swapped)
	}
}
