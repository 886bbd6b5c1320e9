// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
)

// ether is an Ethernet link in memory. What leaves waits to be taken; what is
// written is delivered when write returns, or waits in the Endpoint's queue.
type ether struct {
	*channel.Endpoint
	batches    bool // to a FrameDispatcher, as our own links do
	dispatcher atomic.Pointer[stack.NetworkDispatcher]

	mu   sync.Mutex
	left [][]byte
}

// newEther makes a link that no station but mac is at.
func newEther(mac tcpip.LinkAddress, mtu uint32, batches bool) *ether {
	w := &ether{Endpoint: channel.New(1, mtu, mac), batches: batches}
	w.LinkEPCapabilities = stack.CapabilityResolutionRequired
	return w
}

func (w *ether) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		w.dispatcher.Store(nil)
		return
	}
	w.dispatcher.Store(&d)
}

func (w *ether) IsAttached() bool { return w.dispatcher.Load() != nil }

func (*ether) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

func (*ether) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

func (*ether) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

func (*ether) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

func (w *ether) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pkt := range pkts.AsSlice() {
		v := pkt.ToView()
		w.left = append(w.left, append([]byte{}, v.AsSlice()...))
		v.Release()
	}
	return pkts.Len(), nil
}

// write delivers one batch.
func (w *ether) write(frames [][]byte) {
	d := w.dispatcher.Load()
	if d == nil {
		return
	}
	if f, ok := (*d).(endpoint.FrameDispatcher); ok && w.batches {
		var batch []endpoint.Frame
		for _, b := range frames {
			batch = append(batch, endpoint.Frame{Data: b, Protocol: header.Ethernet(b).Type(), LinkHdrLen: header.EthernetMinimumSize})
		}
		f.DeliverFrames(batch)
		return
	}
	for _, b := range frames {
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
		if w.ParseHeader(pkt) {
			pkt.NetworkProtocolNumber = header.Ethernet(b).Type()
			(*d).DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
		}
		pkt.DecRef()
	}
}

// take returns what has left since the last call.
func (w *ether) take() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.left
	w.left = nil
	return left
}

// endsWith reports whether that frame is the last that has left.
func (w *ether) endsWith(frame []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.left)
	return n > 0 && bytes.Equal(w.left[n-1], frame)
}

// frameTo puts an Ethernet header before an IP packet.
func frameTo(dst, src tcpip.LinkAddress, ip []byte) []byte {
	b := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(ip))
	protocol := header.IPv4ProtocolNumber
	if ip[0]>>4 == 6 {
		protocol = header.IPv6ProtocolNumber
	}
	header.Ethernet(b).Encode(&header.EthernetFields{SrcAddr: src, DstAddr: dst, Type: protocol})
	return append(b, ip...)
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

// ipLen is the length that an IP header says.
func ipLen(ip []byte) int {
	if ip[0]>>4 == 6 {
		return header.IPv6MinimumSize + int(binary.BigEndian.Uint16(ip[4:]))
	}
	return int(binary.BigEndian.Uint16(ip[2:]))
}
