// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func hostGSO(l *fakeLink) { l.gso, l.gsoN = stack.HostGSOSupported, 65535 }

// A link that splits super-packets itself gets them as they are.
func TestHostGSOPasses(t *testing.T) {
	for name, tcp := range large() {
		if len(tcp.IP.Ext) > 0 {
			continue // see TestHostGSOPutRight
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, hostGSO)
			pkt := outPacket(tcp, cut{1000, 0}, gsoOf(tcp, 1400))
			if n, err := r.write(pkt); n != 1 || err != nil {
				t.Fatalf("WritePackets gave %d, %v", n, err)
			}
			if got := r.wants([]packettest.Frame{tcp.Frame()}); got[0].gso != gsoOf(tcp, 1400) {
				t.Errorf("GSO options %+v", got[0].gso)
			}
			if s := r.e.Stats(); s.Split+s.Finished != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
	t.Run("ack with MSS 0", func(t *testing.T) {
		r := newRig(t, nil, hostGSO)
		ack := packettest.TCP{Partial: true}
		r.write(outPacket(ack, whole, gso4(0)))
		r.wants([]packettest.Frame{ack.Frame()})
	})
}

// A device refuses, or takes wrongly, a super-packet with a segment size that
// does not fit the link or a wrong header length: it is put right before.
func TestHostGSOPutRight(t *testing.T) {
	ext := packettest.TCP{IP: packettest.IP{V6: true, Ext: []packettest.Ext{packettest.HopByHop(1)}}}
	tests := []struct {
		name string
		tcp  packettest.TCP
		gso  stack.GSO
		size int
	}{
		{"MSS 0", packettest.TCP{}, gso4(0), 1460},
		{"MSS too large", packettest.TCP{}, gso4(1461), 1460},
		{"MSS too large for options", packettest.TCP{Options: packettest.Timestamp(1, 2)}, gso4(1460), 1448},
		{"extension headers", ext, gso6(1400), 1400},
		{"IPv4 options", packettest.TCP{IP: packettest.IP{Options: make([]byte, 8)}}, gso4(1400), 1400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, nil, hostGSO)
			test.tcp.Payload, test.tcp.Partial = packettest.Stream(0, 9999), true
			if n, err := r.write(outPacket(test.tcp, whole, test.gso)); n != 1 || err != nil {
				t.Fatalf("WritePackets gave %d, %v", n, err)
			}
			for _, s := range r.wants(inSegments(test.tcp, test.size)) {
				if s.gso != (stack.GSO{}) {
					t.Fatalf("GSO options %+v on a segment", s.gso)
				}
			}
		})
	}
}

// A lower link that takes only some of a list: the count is of whole packets of
// the list, the error is the link's, and no reference is lost (leak.Check).
func TestPartialAcceptance(t *testing.T) {
	// 1 packet, 5 segments, 1 packet, 1 dropped, 1 packet: 8 below.
	counts := []int{0, 1, 1, 1, 1, 1, 2, 4, 5}
	for room := range 9 {
		for _, err := range []tcpip.Error{nil, &tcpip.ErrNoBufferSpace{}} {
			t.Run(fmt.Sprint(room, err), func(t *testing.T) {
				r := newRig(t, nil, func(l *fakeLink) { l.room, l.err = room, err })
				small := packettest.TCP{Payload: packettest.Stream(0, 100)}
				big := packettest.TCP{Payload: packettest.Stream(0, 7000), Partial: true}
				n, got := r.write(
					outPacket(small, whole, stack.GSO{}),
					outPacket(big, cut{900, 0}, gso4(1448)),
					outPacket(small, whole, stack.GSO{}),
					bridged(packettest.UDP{Payload: packettest.Stream(0, 2000)}.Frame(), whole),
					outPacket(small, whole, stack.GSO{}))
				if room == 8 {
					err = nil
				}
				if n != counts[room] || got != err {
					t.Errorf("WritePackets gave %d, %v, want %d, %v", n, got, counts[room], err)
				}
				if sent := len(r.lower.take()); sent != room {
					t.Errorf("%d packets sent", sent)
				}
			})
		}
	}
}

// A packet that others hold too is not changed for them when it is split.
func TestSharedPacketUnchanged(t *testing.T) {
	r := newRig(t, nil, nil)
	for _, size := range []int{0, 500, 9000} {
		tcp := packettest.TCP{Payload: packettest.Stream(0, size), Partial: true}
		pkt := outPacket(tcp, cut{400, 0}, gso4(1448))
		clone := pkt.Clone()
		r.write(pkt)
		r.wants(inSegments(tcp, 1448))
		if d := packettest.DiffIP(bytesOf(clone), tcp.Bytes()); d != "" {
			t.Errorf("%d bytes: the clone changed: %s", size, d)
		}
		clone.DecRef()
	}
}
