// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// superPacket is what a stack's TCP hands down.
func superPacket() *stack.PacketBuffer {
	tcp := packettest.TCP{Payload: packettest.Stream(0, 9000), Partial: true}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(tcp.Bytes())})
	pkt.NetworkHeader().Consume(20)
	pkt.TransportHeader().Consume(20)
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: 1400, L3HdrLen: 20}
	return pkt
}

// telltale is a link that tells when it is being detached.
type telltale struct {
	stack.LinkEndpoint
	once      sync.Once
	detaching chan struct{}
}

func (l *telltale) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.once.Do(func() { close(l.detaching) })
	}
	l.LinkEndpoint.Attach(d)
}

// netstack holds Stack.mu while it detaches a NIC, and a delivery that is under
// way may be about to take it: detaching must not wait for the delivery.
func TestRemoveNICDuringDelivery(t *testing.T) {
	type remover struct {
		name   string
		remove func(*stack.Stack)
	}
	for _, how := range []remover{
		{"RemoveNIC", func(s *stack.Stack) { s.RemoveNIC(transfer.NICID) }},
		{"Destroy", (*stack.Stack).Destroy},
	} {
		t.Run("channel/"+how.name, func(t *testing.T) {
			leak.Check(t)
			lower := &telltale{LinkEndpoint: channel.New(16, 1500, ""), detaching: make(chan struct{})}
			e := endpoint.New(lower, nil)
			removeDuringDelivery(t, e, lower, how.remove, func(ip []byte) { deliver(e, ip) })
		})
		t.Run("memlink/"+how.name, func(t *testing.T) {
			leak.Check(t)
			l := memlink.New(nil)
			lower := &telltale{LinkEndpoint: l, detaching: make(chan struct{})}
			removeDuringDelivery(t, endpoint.New(lower, nil), lower, how.remove, func(ip []byte) { l.Write([][]byte{ip}, 0) })
		})
	}
}

func removeDuringDelivery(t *testing.T, e stack.LinkEndpoint, lower *telltale, remove func(*stack.Stack), write func([]byte)) {
	t.Helper()
	h := newHost(t, e, nil, "10.0.0.2")
	s := h.Stack()
	inside, left := make(chan struct{}), make(chan struct{})
	s.SetTransportProtocolHandler(udp.ProtocolNumber, func(stack.TransportEndpointID, *stack.PacketBuffer) bool {
		close(inside)
		<-lower.detaching // RemoveNIC holds Stack.mu
		s.NICInfo()       // which this wants
		close(left)
		return true
	})
	go write(packettest.UDP{Payload: []byte("x")}.Bytes())
	leak.Done(t, "the delivery", inside)
	leak.Within(t, "removing the NIC", func() { remove(s) })
	leak.Done(t, "the end of the delivery", left)
}
