// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/coalesce"
)

// vnetLen is the length of struct virtio_net_hdr (virtio 1.2, 5.1.6).
const vnetLen = 10

// tunWriter hands the kernel a batch of packets, each from vnetLen on in its buffer,
// which has room to grow to 64 KiB, in as few writes as it can.
type tunWriter interface {
	Write(bufs [][]byte, offset int) (int, error)
	Close() error
}

var tunWriters = []struct {
	impl string
	make func(tb testing.TB, fd int) tunWriter
}{
	{"none", func(_ testing.TB, fd int) tunWriter { return &plainWriter{os.NewFile(uintptr(fd), tunName)} }},
	{"wireguard-go", func(tb testing.TB, fd int) tunWriter { return nativeTUN(tb, fd) }},
	{"ours", func(_ testing.TB, fd int) tunWriter { return newMergingWriter(fd) }},
}

// nativeTUN is wireguard-go's device around fd.
func nativeTUN(tb testing.TB, fd int) tun.Device {
	tb.Helper()
	dev, _, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return dev
}

// plainWriter writes packet by packet.
type plainWriter struct{ *os.File }

func (w *plainWriter) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		pkt := b[offset-vnetLen:]
		clear(pkt[:vnetLen])
		if _, err := w.File.Write(pkt); err != nil {
			return 0, err
		}
	}
	return len(bufs), nil
}

// mergingWriter is package coalesce in front of a TUN. Payload is copied into one
// buffer, where wireguard-go copies it behind that of the first packet.
type mergingWriter struct {
	*os.File
	table *coalesce.Table
	buf   []byte
}

func newMergingWriter(fd int) *mergingWriter {
	return &mergingWriter{os.NewFile(uintptr(fd), tunName), coalesce.New(nil), make([]byte, vnetLen+65535)}
}

func (w *mergingWriter) Write(bufs [][]byte, offset int) (int, error) {
	for i, b := range bufs {
		p := coalesce.Packet{Head: b[offset:], Protocol: header.IPv4ProtocolNumber, ID: i}
		if header.IPVersion(p.Head) == header.IPv6Version {
			p.Protocol = header.IPv6ProtocolNumber
		}
		w.table.Add(&p)
	}
	for r := w.table.Pop(); r != nil; r = w.table.Pop() {
		pkt := bufs[r.ID][offset-vnetLen:]
		clear(pkt[:vnetLen])
		if r.Count > 1 {
			pkt = w.super(r)
		}
		if _, err := w.File.Write(pkt); err != nil {
			return 0, err
		}
	}
	return len(bufs), nil
}

// super writes a run out as the kernel takes it: with a partial checksum.
func (w *mergingWriter) super(r *coalesce.Run) []byte {
	pkt := w.buf[vnetLen : vnetLen+r.HeaderLen+r.PayloadLen]
	r.PutHeader(pkt[:r.HeaderLen])
	r.CopyPayload(pkt[r.HeaderLen:])
	putSuper(w.buf, pkt, r.HeaderLen, r.SegmentSize)
	return w.buf[:vnetLen+len(pkt)]
}

// putSuper makes a TCP packet with a complete checksum one with a partial one, and
// writes its virtio_net_hdr to hdr.
func putSuper(hdr, pkt []byte, headerLen, segmentSize int) {
	gso, l4 := byte(unix.VIRTIO_NET_HDR_GSO_TCPV4), header.IPv4MinimumSize
	ip := header.Network(header.IPv4(pkt))
	if header.IPVersion(pkt) == header.IPv6Version {
		gso, l4 = unix.VIRTIO_NET_HDR_GSO_TCPV6, header.IPv6MinimumSize
		ip = header.IPv6(pkt)
	}
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(pkt)-l4))
	header.TCP(pkt[l4:]).SetChecksum(sum)
	hdr[0], hdr[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gso
	binary.NativeEndian.PutUint16(hdr[2:], uint16(headerLen))
	binary.NativeEndian.PutUint16(hdr[4:], uint16(segmentSize))
	binary.NativeEndian.PutUint16(hdr[6:], uint16(l4))
	binary.NativeEndian.PutUint16(hdr[8:], header.TCPChecksumOffset)
}

// writeBatch is wireguard-go's conn.IdealBatchSize.
const writeBatch = 128

func writeTraffic() (out []*traffic.Batch) {
	for _, kind := range []traffic.Kind{traffic.TCP4, traffic.TCP6} {
		for _, s := range traffic.Shapes {
			out = append(out, &traffic.Batch{Kind: kind, Pattern: s.Pattern, Flows: s.Flows, Packets: writeBatch})
		}
	}
	return out
}

// tunBuffers are buffers as wireguard-go's engine has them.
type tunBuffers struct {
	frames, bufs [][]byte
}

func newTUNBuffers(tr *traffic.Batch) *tunBuffers {
	t := &tunBuffers{frames: tr.Frames()}
	for range t.frames {
		t.bufs = append(t.bufs, make([]byte, vnetLen+65535))
	}
	return t
}

// fill makes the buffers what they were: writers write into them.
func (t *tunBuffers) fill() [][]byte {
	for i, frame := range t.frames {
		t.bufs[i] = t.bufs[i][:vnetLen+len(frame)]
		copy(t.bufs[i][vnetLen:], frame)
	}
	return t.bufs
}

// BenchmarkTUNWrite hands the kernel batches of packets with complete checksums, which all
// but none verify, through a TUN with vnet headers: the merging, the writes, and the
// kernel's work on each packet until it finds no route.
func BenchmarkTUNWrite(b *testing.B) {
	for _, tr := range writeTraffic() {
		for _, w := range tunWriters {
			b.Run(fmt.Sprintf("%v/batch=%d/impl=%s", tr, tr.Packets, w.impl), func(b *testing.B) {
				dev := w.make(b, newTUN(b).fd)
				defer dev.Close()
				bufs := newTUNBuffers(tr)
				b.SetBytes(tr.Bytes())
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					batch := bufs.fill()
					b.StartTimer()
					if _, err := dev.Write(batch, vnetLen); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tr.Packets), "ns/packet")
			})
		}
	}
}

// TestTUNWrite: the kernel is given every flow's bytes in order, and mergers merge.
func TestTUNWrite(t *testing.T) {
	for _, tr := range writeTraffic() {
		for _, w := range tunWriters {
			t.Run(tr.String()+"/"+w.impl, func(t *testing.T) {
				kernel := newTUN(t)
				kernel.watch(t)
				dev := w.make(t, kernel.fd)
				defer dev.Close()
				bufs := newTUNBuffers(tr)
				want, got, packets := streams(t, bufs.frames), newFlows(), 0
				if _, err := dev.Write(bufs.fill(), vnetLen); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 1<<17)
				for ; got.bytes() < want.bytes(); packets++ {
					n, err := unix.Read(kernel.packet, buf)
					if err != nil {
						t.Fatalf("after %d bytes of %d: %v", got.bytes(), want.bytes(), err)
					}
					got.add(t, buf[vnetLen:n])
				}
				if w.impl == "wireguard-go" && tr.Pattern == traffic.Reordered {
					want = inSequence(t, tr) // it also puts packets in front of others
				}
				got.compare(t, want)
				if w.impl == "ours" && packets != tr.Leave() {
					t.Errorf("%d packets, want %d", packets, tr.Leave())
				}
				t.Logf("%d packets became %d", len(bufs.frames), packets)
			})
		}
	}
}

// inSequence is what the flows of tr carry without the pattern's disorder.
func inSequence(t *testing.T, tr *traffic.Batch) flows {
	sorted := *tr
	sorted.Pattern = traffic.RoundRobin
	return streams(t, sorted.Frames())
}
