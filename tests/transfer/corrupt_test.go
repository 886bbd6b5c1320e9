// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// flips are the bits of an IP packet to try: all of the first n bytes that a
// checksum covers, and one in 37 of the rest.
func flips(ip []byte, n int) (bits []int) {
	for i := range len(ip) * 8 {
		switch {
		case i >= n*8 && i%37 != 0:
		case ip[0]>>4 == 6 && i >= 4 && i < 32: // traffic class, flow label
		case ip[0]>>4 == 6 && i/8 == 7: // hop limit
		default:
			bits = append(bits, i)
		}
	}
	return bits
}

func flip(ip []byte, bit int) []byte {
	bad := append([]byte{}, ip...)
	bad[bit/8] ^= 0x80 >> (bit % 8)
	return bad
}

// refused counts what a stack dropped because it was damaged.
func refused(s *stack.Stack) (n uint64) {
	st := s.Stats()
	for _, c := range []*tcpip.StatCounter{
		st.IP.MalformedPacketsReceived, st.IP.InvalidDestinationAddressesReceived, st.IP.InvalidSourceAddressesReceived,
		st.IP.OptionUnknownReceived, st.UDP.ChecksumErrors, st.UDP.MalformedPacketsReceived, st.UDP.UnknownPortErrors,
		st.TCP.ChecksumErrors, st.TCP.InvalidSegmentsReceived,
		st.ICMP.V4.PacketsReceived.Invalid, st.ICMP.V6.PacketsReceived.Invalid,
	} {
		n += c.Value()
	}
	return n
}

// awaitRefused waits until a stack has counted what was damaged, but for what does
// not even look like IP.
func awaitRefused(t *testing.T, s *stack.Stack, damaged int) {
	t.Helper()
	leak.Until(t, "all damaged packets to be counted", func() bool { return refused(s) >= uint64(damaged)*9/10 })
}

// A datagram with one bit flipped never reaches the socket; the next one does.
func TestCorruptUDP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, newPort := range ports {
			t.Run(testName(name, v6), func(t *testing.T) {
				u := udpSocket(t, newPort(), v6)
				headers := 28
				if v6 {
					headers = 48
				}
				bits := flips(u.datagram(0, 200), headers)
				for i, bit := range bits {
					u.port.write([][]byte{flip(u.datagram(2*i, 200), bit), u.datagram(2*i+1, 200)})
					u.wants(2*i+1, 200)
				}
				u.wantsNothing()
				awaitRefused(t, u.host.Stack(), len(bits))
			})
		}
	}
}

// Neither does one that came in fragments: nobody but UDP itself can verify it,
// and must not have been told that somebody else has.
func TestCorruptFragments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, newPort := range ports {
			t.Run(testName(name, v6), func(t *testing.T) {
				u := udpSocket(t, newPort(), v6)
				for i, bit := range flips(u.datagram(0, 4000), 0) {
					for which := range 3 {
						bad := fragments(u.datagram(2*i, 4000), uint32(2*i+which<<16))
						if bit/8 < 60 || bit/8 >= len(bad[which]) {
							continue // headers: the fragment is lost, and its datagram with it
						}
						bad[which] = flip(bad[which], bit)
						u.port.write(bad)
						u.port.write(fragments(u.datagram(2*i+1, 4000), uint32(2*i+1+which<<16)))
						u.wants(2*i+1, 4000)
					}
				}
				u.wantsNothing()
				if u.host.Stack().Stats().UDP.ChecksumErrors.Value() < 100 {
					t.Error("hardly any datagram was found damaged")
				}
			})
		}
	}
}

func testName(name string, v6 bool) string {
	if v6 {
		return name + "/v6"
	}
	return name + "/v4"
}

// socket is a UDP socket of a host behind a port.
type socket struct {
	t    *testing.T
	port port
	host *transfer.Host
	conn *gonet.UDPConn
	v6   bool
}

func udpSocket(t *testing.T, p port, v6 bool) *socket {
	t.Helper()
	leak.Check(t)
	s := &socket{t: t, port: p, v6: v6, host: newHost(t, p.link(), "10.0.0.2", "fd00::2")}
	at, protocol := tcpip.FullAddress{Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2}), Port: 443}, header.IPv4ProtocolNumber
	if v6 {
		at.Addr, protocol = tcpip.AddrFrom16([16]byte{0xfd, 15: 2}), header.IPv6ProtocolNumber
	}
	var err error
	if s.conn, err = gonet.DialUDP(s.host.Stack(), &at, nil, protocol); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// datagram number i has its number in front of other data.
func (s *socket) datagram(i, size int) []byte {
	return packettest.UDP{IP: packettest.IP{V6: s.v6}, Payload: data(i, size)}.Bytes()
}

func data(i, size int) []byte {
	b := packettest.Stream(uint32(i*size), size)
	binary.BigEndian.PutUint32(b, uint32(i))
	return b
}

// wants reads the next datagram, which has to be number i.
func (s *socket) wants(i, size int) {
	s.t.Helper()
	buf := make([]byte, 65536)
	s.conn.SetReadDeadline(time.Now().Add(leak.Limit))
	n, err := s.conn.Read(buf)
	if err != nil {
		s.t.Fatalf("datagram %d: %v", i, err)
	}
	if got, want := string(buf[:n]), string(data(i, size)); got != want {
		s.t.Fatalf("datagram of %d bytes, number %d, arrived; want %d bytes, number %d, right in every byte",
			n, binary.BigEndian.Uint32(buf), size, i)
	}
}

func (s *socket) wantsNothing() {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := s.conn.Read(make([]byte, 65536)); err == nil {
		s.t.Fatalf("one more datagram, of %d bytes", n)
	} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
		s.t.Fatal(err)
	}
}

// fragments cuts an IP packet into three that fit a link of 1500.
func fragments(ip []byte, id uint32) (out [][]byte) {
	headers, n := ip[:20], 1480
	if ip[0]>>4 == 6 {
		headers, n = ip[:40], 1448
	}
	rest := ip[len(headers):]
	for off := 0; off < len(rest); off += n {
		part := rest[off:min(len(rest), off+n)]
		more := off+n < len(rest)
		f := append([]byte{}, headers...)
		if len(headers) == 40 {
			e := packettest.Fragment(uint16(off/8), more, id)
			f = append(append(f, f[6]), e.Data...)
			f[6] = e.Type
			binary.BigEndian.PutUint16(f[4:], uint16(8+len(part)))
		} else {
			binary.BigEndian.PutUint16(f[2:], uint16(20+len(part)))
			binary.BigEndian.PutUint16(f[4:], uint16(id))
			binary.BigEndian.PutUint16(f[6:], uint16(off/8))
			if more {
				f[6] |= 0x20
			}
			packettest.FixIPv4(f)
		}
		out = append(out, append(f, part...))
	}
	return out
}

// An echo request with one bit flipped is not answered; the next one is.
func TestCorruptEcho(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, newPort := range ports {
			t.Run(testName(name, v6), func(t *testing.T) {
				leak.Check(t)
				p := newPort()
				h := newHost(t, p.link(), "10.0.0.2", "fd00::2")
				echo := func(i int) []byte {
					return packettest.ICMP{IP: packettest.IP{V6: v6}, ID: 7, Seq: uint16(i), Payload: data(i, 100)}.Bytes()
				}
				headers := 28
				if v6 {
					headers = 48
				}
				bits := flips(echo(0), headers)
				replies := make(chan []byte, 10000)
				go func() {
					for batch := p.read(); batch != nil; batch = p.read() {
						for _, ip := range batch {
							replies <- ip
						}
					}
				}()
				defer p.close()
				for i, bit := range bits {
					p.write([][]byte{flip(echo(2*i), bit), echo(2*i + 1)})
					for {
						ip := leak.Done(t, "a reply", replies)
						l4 := headers - 8
						if typ := ip[l4]; typ != 0 && typ != 129 { // an error, or neighbour discovery
							if typ == 3 || typ == 4 || typ == 1 || ip[l4] >= 131 {
								continue
							}
						}
						if got := string(ip[headers:]); got != string(data(2*i+1, 100)) {
							t.Fatalf("bit %d: the reply is to number %d", bit, binary.BigEndian.Uint32(ip[headers:]))
						}
						break
					}
				}
				awaitRefused(t, h.Stack(), len(bits))
			})
		}
	}
}

// In front of segments of a connection come copies of them with one bit flipped.
// If one of them were taken, the data would be wrong.
func TestCorruptTCP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, newPort := range ports {
			t.Run(testName(name, v6), func(t *testing.T) {
				leak.Check(t)
				a, b := newPort(), newPort()
				d := &damage{}
				defer join(a, b, d.change, nil)()
				addrs := []string{"10.0.0.1", "10.0.0.2"}
				if v6 {
					addrs = []string{"fd00::1", "fd00::2"}
				}
				from, to := newHost(t, a.link(), addrs[0]), newHost(t, b.link(), addrs[1])
				r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Bytes: 4 << 20, Stall: leak.Limit})
				if err != nil {
					t.Fatalf("%d bytes: %v", r.Bytes, err)
				}
				if !d.headers {
					t.Errorf("only %d packets were damaged, not one in each bit", d.done)
				}
				awaitRefused(t, to.Stack(), d.done)
				if b.offload().Stats().Merged == 0 {
					t.Error("nothing was merged")
				}
			})
		}
	}
}

// damage puts in front of every second data segment a damaged copy, each in
// another bit.
type damage struct {
	done    int
	headers bool // each bit of the headers had its turn
}

func (d *damage) change(batch [][]byte) (out [][]byte) {
	for i, ip := range batch {
		if i%2 == 1 && len(ip) > 1000 {
			headers := 52
			if ip[0]>>4 == 6 {
				headers = 72
			}
			bits := flips(ip, headers)
			out = append(out, flip(ip, bits[d.done%len(bits)]))
			d.done++
			d.headers = d.headers || d.done > headers*8
		}
		out = append(out, ip)
	}
	return out
}
