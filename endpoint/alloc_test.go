// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Nothing is allocated on a packet's way, but what comes from gVisor's pools and
// goes back there: not where it ends here, not where it leaves, not to split it, and
// not to note that it was forwarded.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools")
	}
	local, _ := flow(packettest.TCP{}, 20, 1000)
	away, _ := flow(packettest.TCP{IP: packettest.IP{Dst: elsewhere4}}, 20, 1000)
	big := packettest.TCP{IP: packettest.IP{Dst: elsewhere4}, Payload: packettest.Stream(0, 60000), Partial: true}
	batches := map[string][]endpoint.Frame{
		"ends":        nil,
		"leaves":      nil,
		"large":       {super(big, 1448)},
		"large both":  {super(big, 1448), super(big, 1448)},
		"large, UDP":  {superUDP(packettest.UDP{Payload: packettest.Stream(0, 60000)}, 1400)},
		"large, ends": {super(packettest.TCP{Payload: packettest.Stream(0, 60000)}, 1448)},
	}
	for i := range local {
		batches["ends"] = append(batches["ends"], endpointFrame(local[i]))
		batches["leaves"] = append(batches["leaves"], endpointFrame(away[i]))
	}
	for _, forwards := range []bool{false, true} {
		e := endpoint.New(discard{newFakeLink()}, nil)
		defer e.Close()
		e.Attach(newAskedNIC(t))
		var list stack.PacketBufferList
		list.PushBack(forwarded(packettest.TCP{SrcPort: 99}.Frame(), 20))
		defer list.Reset()
		if forwards {
			e.WritePackets(list)
			if n := testing.AllocsPerRun(100, func() { e.WritePackets(list) }); n >= 1 {
				t.Errorf("noting what is forwarded: %v allocations", n)
			}
		}
		for name, frames := range batches {
			if n := testing.AllocsPerRun(100, func() { e.DeliverFrames(frames) }); n >= 1 {
				t.Errorf("%s, forwards %v: %v allocations", name, forwards, n)
			}
		}
	}
}
