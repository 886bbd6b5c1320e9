// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// captured is what passed a kernel's own device, as IP packets of TCP, in packets
// as on a wire.
type captured struct {
	k    *kernel
	fd   int
	done sync.WaitGroup
	end  chan struct{}

	out, in [][]byte
	tooBig  []uint32 // MTUs of ICMPv6 Packet Too Big messages
	dropped uint32
}

// capture begins to capture. Super-packets that the kernel makes are split by their
// virtio_net_hdr.
func capture(k *kernel) *captured {
	k.t.Helper()
	c := &captured{k: k, end: make(chan struct{})}
	index := k.index(k.device)
	var err error
	k.do(func() { c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	k.must(err)
	k.must(unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	k.must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 128<<20))
	k.must(unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000}))
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network byte order
	k.must(unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: int(index)}))
	c.done.Go(c.run)
	return c
}

// stop ends the capture; sent and received may be called after.
func (c *captured) stop() {
	close(c.end)
	c.done.Wait()
	unix.Close(c.fd)
	if c.dropped > 0 {
		c.k.t.Fatalf("the capture missed %d frames", c.dropped)
	}
}

func (c *captured) sent() [][]byte     { return c.out }
func (c *captured) received() [][]byte { return c.in }

func (c *captured) run() {
	buf := make([]byte, 1<<17)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil { // nothing for a while
			select {
			case <-c.end:
				if s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
					c.dropped = s.Drops
				}
				return
			default:
				continue
			}
		}
		packets := c.read(buf[:n])
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			c.out = append(c.out, packets...)
		} else {
			c.in = append(c.in, packets...)
		}
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
		if len(ip) >= 48 && ip[0]>>4 == 6 && ip[6] == 58 && ip[40] == 2 {
			c.tooBig = append(c.tooBig, binary.BigEndian.Uint32(ip[44:]))
		}
		return nil
	}
	n := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 == 6 {
		n = 40 + int(binary.BigEndian.Uint16(ip[4:]))
	}
	ip = ip[:n] // without padding
	if complete && !packettest.TCPValid(ip, l4) {
		c.k.t.Errorf("a packet with a wrong checksum passed %s", c.k.device)
	}
	if b[1] == 0 {
		size = len(ip)
	}
	return wirePackets(ip, l4, size)
}

// tcpOf is where the TCP header of a packet begins, if it is one.
func tcpOf(ip []byte) (l4 int, ok bool) {
	switch {
	case len(ip) >= 40 && ip[0]>>4 == 4 && ip[9] == 6:
		return int(ip[0]&15) * 4, true
	case len(ip) >= 60 && ip[0]>>4 == 6 && ip[6] == 6:
		return 40, true
	}
	return 0, false
}

// wirePackets cuts a packet as the kernel's TSO does, and takes out of each piece
// what a router or another checksum state changes: TTL or hop limit and checksums.
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
			p[7] = 0
		} else {
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
			binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(i))
			p[8], p[10], p[11] = 0, 0, 0
		}
		p[l4+16], p[l4+17] = 0, 0
		out = append(out, p)
	}
	return out
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

// compare wants what was received to be what was sent, packet by packet of each
// flow. What is missing has been lost on the way: because it is too large for the
// second half of it, or in the kernels' own devices, which say how much; beyond that
// it must not be much. In order, too, but for packets that two processors of the
// sender send at the same time, which may pass the capture in another order than
// the wire.
func compare(t *testing.T, what string, sent, received [][]byte, mtu, dropped int) {
	t.Helper()
	all := flows(sent)
	passed, swapped, lost, tooLarge := 0, 0, 0, 0
	for key, got := range flows(received) {
		want := all[key]
		used := make([]bool, len(want))
		first, last := 0, 0 // not yet passed, and of the packet before
		for i, p := range got {
			for first < len(want) && used[first] {
				first++
			}
			at := first
			for at < len(want) && (used[at] || string(want[at]) != string(p)) {
				at++
			}
			if at == len(want) {
				t.Fatalf("%s, %v: packet %d of %d, of %d bytes, was not sent like that:\n% x", what, key, i, len(got), len(p), p[:min(len(p), 80)])
			}
			if at < last {
				swapped++
			}
			used[at], last = true, at
			passed++
		}
		for i, p := range want {
			switch {
			case used[i]:
			case len(p) > mtu:
				tooLarge++
			default:
				lost++
			}
		}
	}
	t.Logf("%s: %d packets passed, %d were too large, %d got lost, %d swapped; devices dropped %d", what, passed, tooLarge, lost, swapped, dropped)
	if passed == 0 || lost > dropped+len(sent)/50 || swapped > len(sent)/50 {
		t.Errorf("%s: of %d packets %d passed, %d got lost, %d swapped", what, len(sent), passed, lost, swapped)
	}
}
