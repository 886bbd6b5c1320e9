// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// counting is a dispatcher that tells of every batch.
type counting struct{ batches chan int }

func (c *counting) DeliverFrames(frames []endpoint.Frame) { c.batches <- len(frames) }

func (*counting) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
func (*counting) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)    {}

// TestReceiveAllocs: a batch costs no memory, however its descriptor is read.
func TestReceiveAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	plain := packettest.TCP{Payload: make([]byte, 1448)}.Bytes()
	super := packettest.TCP{Payload: make([]byte, 60000), Partial: true}.Bytes()
	udp := packettest.UDP{Payload: make([]byte, 60000), Partial: true}.Bytes()
	for _, tt := range []struct {
		name  string
		vnet  bool
		frame []byte
	}{
		{"plain", false, plain},
		{"virtio_net_hdr", true, vnet(plain)},
		{"TCP super-packet", true, vnet(super, 1, 1, 40, 1448, 20, 16)},
		{"UDP super-packet", true, vnet(udp, 1, 5, 28, 1000, 20, 6)},
		{"not wanted", false, []byte{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &counting{batches: make(chan int, 1)}
			l, p := pair(t, rawlink.Config{VnetHdr: tt.vnet}, d)
			n := testing.AllocsPerRun(100, func() {
				before := l.Stats().Received
				unix.Write(p.fd, tt.frame)
				if tt.name == "not wanted" {
					for l.Stats().Received == before {
						runtime.Gosched()
					}
					return
				}
				<-d.batches
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	t.Run("TUN", func(t *testing.T) {
		l := newTUN(t, false, nil)
		link, d := l.open(), &counting{batches: make(chan int, 100)}
		link.Attach(d)
		var to int
		l.do(func() {
			var err error
			to, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			l.must(err)
			l.must(unix.Connect(to, &unix.SockaddrInet4{Addr: [4]byte{10, 0, 0, 2}, Port: 9}))
		})
		defer unix.Close(to)
		payload := make([]byte, 1000)
		if n := testing.AllocsPerRun(100, func() { unix.Write(to, payload); <-d.batches }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestSendAllocs: nor does a list that is sent, split or whole.
func TestSendAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tt := range []struct {
		name string
		vnet bool
		size int
	}{
		{"pure ACK", false, 0},
		{"split", false, 20000},
		{"whole", true, 60000},
		{"small, with virtio_net_hdr", true, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, p := pair(t, rawlink.Config{VnetHdr: tt.vnet}, &counting{})
			var list stack.PacketBufferList
			list.PushBack(outgoing(packettest.TCP{Payload: make([]byte, tt.size)}, 1448, false))
			defer list.Reset()
			buf := make([]byte, 70000)
			unix.SetNonblock(p.fd, true)
			send := func() {
				if n, err := l.WritePackets(list); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				for {
					if n, err := unix.Read(p.fd, buf); n <= 0 || err != nil {
						return
					}
				}
			}
			leak.Within(t, "sending", send)
			if n := testing.AllocsPerRun(100, send); n >= 1 { // a pool may be emptied meanwhile
				t.Errorf("%v allocations", n)
			}
		})
	}
}
