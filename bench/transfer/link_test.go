// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// TestMain has gVisor find packets that nobody released.
func TestMain(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	refs.DoLeakCheck()
	os.Exit(code)
}

// spoiled is a channel endpoint that spoils what leaves it once it is armed: it
// changes bytes in the packets, or loses all of them.
type spoiled struct {
	*channel.Endpoint
	armed, lose atomic.Bool
}

func (s *spoiled) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	if !s.armed.Load() {
		return s.Endpoint.WritePackets(pkts)
	}
	if s.lose.Load() {
		return pkts.Len(), nil
	}
	var out stack.PacketBufferList
	defer out.Reset()
	for _, pkt := range pkts.AsSlice() {
		view := pkt.ToView()
		b := bytes.Clone(view.AsSlice())
		view.Release()
		if len(b) > 200 {
			b[len(b)-1] ^= 1
		}
		bad := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
		bad.NetworkProtocolNumber = pkt.NetworkProtocolNumber
		out.PushBack(bad)
	}
	return s.Endpoint.WritePackets(out)
}

// pair is two hosts joined by channel endpoints. With spoil the first host's
// link can be spoiled, and the second trusts every checksum, so that nothing but the
// transfer's own check stands in the way of damage.
func pair(t *testing.T, v6, spoil bool) (a, b *Host, link *spoiled) {
	t.Helper()
	addrs := []string{"10.0.0.1", "10.0.0.2"}
	if v6 {
		addrs = []string{"fd00::1", "fd00::2"}
	}
	chA, chB := channel.New(2048, 1500, ""), channel.New(2048, 1500, "")
	link = &spoiled{Endpoint: chA}
	var lower stack.LinkEndpoint = chA
	if spoil {
		lower = link
		chB.LinkEPCapabilities |= stack.CapabilityRXChecksumOffload
	}
	stop := JoinChannels(chA, chB)
	t.Cleanup(stop)
	return newHost(t, lower, addrs[0]), newHost(t, chB, addrs[1]), link
}

func newHost(t *testing.T, link stack.LinkEndpoint, addr string) *Host {
	t.Helper()
	h, err := NewHost(link, &HostConfig{Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}
