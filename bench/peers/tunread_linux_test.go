// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/bench/memory"
	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// tunReader reads super-packets from the kernel and splits them into packets that fit.
type tunReader interface {
	Read(bufs [][]byte, sizes []int, offset int) (int, error)
	Close() error
}

var tunReaders = []struct {
	impl string
	make func(tb testing.TB, fd int) tunReader
}{
	{"wireguard-go", func(tb testing.TB, fd int) tunReader { return nativeTUN(tb, fd) }},
	{"ours", func(_ testing.TB, fd int) tunReader { return newSplittingReader(fd) }},
}

// splittingReader is package segment behind a TUN.
type splittingReader struct {
	*os.File
	splitter segment.Splitter
	buf      []byte
}

func newSplittingReader(fd int) *splittingReader {
	return &splittingReader{File: os.NewFile(uintptr(fd), tunName), buf: make([]byte, vnetLen+65535)}
}

func (r *splittingReader) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := r.File.Read(r.buf)
	if err != nil || n < vnetLen {
		return 0, err
	}
	s, pkt := &r.splitter, r.buf[vnetLen:n]
	err = s.Init(pkt, len(pkt), segment.Options{
		SegmentSize: int(binary.NativeEndian.Uint16(r.buf[4:])),
		MTU:         memory.MTU,
		Partial:     r.buf[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0,
	})
	if err != nil {
		return 0, err
	}
	if s.Segments() > len(bufs) {
		return 0, errors.New("more segments than buffers")
	}
	for i := range s.Segments() {
		off, n := s.Payload(i)
		out := bufs[i][offset : offset+s.HeaderLen()+n]
		copy(out[s.HeaderLen():], pkt[s.HeaderLen()+off:])
		s.PutHeader(out, i, checksum.Checksum(out[s.HeaderLen():], 0))
		sizes[i] = len(out)
	}
	return s.Segments(), nil
}

// readCases are super-packets of so many segments of 1500 bytes.
var readCases = []struct {
	kind     traffic.Kind
	segments int
}{{traffic.TCP4, 2}, {traffic.TCP4, 8}, {traffic.TCP4, 43}, {traffic.TCP6, 43}}

// readBatch is how many super-packets wait in the device, which holds 500.
const readBatch = 16

// superPacket is one as the kernel's side of a TUN is given it, and the size of its
// payload.
func superPacket(kind traffic.Kind, segments int) (pkt []byte, payload int) {
	size := (&traffic.Batch{Kind: kind}).Payload()
	p := packettest.TCP{
		IP: packettest.IP{V6: kind.V6, ID: 1}, Window: 512, Options: packettest.Timestamp(1, 2),
		Payload: packettest.Stream(0, segments*size),
	}
	ip := p.Bytes()
	pkt = append(make([]byte, vnetLen), ip...)
	putSuper(pkt, pkt[vnetLen:], len(ip)-len(p.Payload), size)
	return pkt, len(p.Payload)
}

// send has the kernel send pkt through the device.
func (t *kernelTUN) send(tb testing.TB, kind traffic.Kind, pkt []byte) {
	tb.Helper()
	protocol := uint16(kind.Protocol())
	to := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: t.index}
	if err := unix.Sendto(t.packet, pkt, 0, to); err != nil {
		tb.Fatal(err)
	}
}

func newReadBuffers() (bufs [][]byte, sizes []int) {
	for range writeBatch {
		bufs = append(bufs, make([]byte, memory.MTU))
	}
	return bufs, make([]int, len(bufs))
}

// BenchmarkTUNRead reads super-packets that wait in a TUN with vnet headers, and splits
// them, payload copied and checksums computed: a system call for each, the kernel's copy,
// and the splitting.
func BenchmarkTUNRead(b *testing.B) {
	for _, c := range readCases {
		for _, r := range tunReaders {
			b.Run(fmt.Sprintf("%v/segments=%d/impl=%s", c.kind, c.segments, r.impl), func(b *testing.B) {
				kernel := newTUN(b)
				dev := r.make(b, kernel.fd)
				defer dev.Close()
				pkt, payload := superPacket(c.kind, c.segments)
				bufs, sizes := newReadBuffers()
				b.SetBytes(int64(readBatch * payload))
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					for range readBatch {
						kernel.send(b, c.kind, pkt)
					}
					b.StartTimer()
					for range readBatch {
						if n, err := dev.Read(bufs, sizes, 0); err != nil || n != c.segments {
							b.Fatal(n, err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*readBatch*c.segments), "ns/segment")
			})
		}
	}
}

// TestTUNRead: the segments carry the super-packet's bytes, and right checksums.
func TestTUNRead(t *testing.T) {
	for _, c := range readCases {
		for _, r := range tunReaders {
			t.Run(fmt.Sprintf("%v/%d/%s", c.kind, c.segments, r.impl), func(t *testing.T) {
				kernel := newTUN(t)
				dev := r.make(t, kernel.fd)
				defer dev.Close()
				pkt, _ := superPacket(c.kind, c.segments)
				kernel.send(t, c.kind, pkt)
				bufs, sizes := newReadBuffers()
				n, err := dev.Read(bufs, sizes, 0)
				if err != nil || n != c.segments {
					t.Fatalf("%d segments, want %d: %v", n, c.segments, err)
				}
				got := newFlows()
				for i, b := range bufs[:n] {
					got.add(t, b[:sizes[i]])
					if !checksumOK(b[:sizes[i]]) {
						t.Errorf("segment %d has a wrong checksum", i)
					}
				}
				got.compare(t, streams(t, [][]byte{pkt[vnetLen:]}))
			})
		}
	}
}

func checksumOK(pkt []byte) bool {
	ip := header.Network(header.IPv4(pkt))
	if header.IPVersion(pkt) == header.IPv6Version {
		ip = header.IPv6(pkt)
	} else if !header.IPv4(pkt).IsChecksumValid() {
		return false
	}
	tcp := header.TCP(ip.Payload())
	payload := tcp.Payload()
	return tcp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(payload, 0), uint16(len(payload)))
}
