// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// isTooBig reports whether the packet says that another exceeds a way's MTU: ICMP
// Fragmentation Needed (RFC 1191, section 4), ICMPv6 Packet Too Big.
func isTooBig(ip []byte) bool {
	switch {
	case len(ip) >= 28 && ip[0]>>4 == 4:
		return ip[9] == 1 && ip[20] == 3 && ip[21] == 4
	case len(ip) >= 48 && ip[0]>>4 == 6:
		return ip[6] == 58 && ip[40] == 2
	}
	return false
}

// wantTooBig wants errors for packets that were sent and are larger than mtu: with
// that MTU in them, or 0 for IPv6, and the beginning of the packet.
func wantTooBig(t *testing.T, errors, sent [][]byte, mtu int) {
	t.Helper()
	large := slices.DeleteFunc(slices.Clone(sent), func(p []byte) bool { return len(p) <= mtu })
	for _, ip := range errors {
		l4, says := 20, mtu
		if ip[0]>>4 == 6 {
			l4, says = 40, 0
		} else if packettest.Checksum(ip[l4:]) != 0 {
			t.Errorf("an ICMP error has a wrong checksum: % x", ip)
		}
		if got := int(binary.BigEndian.Uint32(ip[l4+4:])); got != says {
			t.Errorf("an ICMP error says that the MTU is %d", got)
		}
		quoted := slices.Clone(ip[l4+8:])
		neutralize(quoted, l4)
		if !slices.ContainsFunc(large, func(p []byte) bool { return len(quoted) >= l4+8 && bytes.HasPrefix(p, quoted) }) {
			t.Errorf("an ICMP error is about a packet that was not sent, or not too large: % x", ip)
		}
	}
}

// gVisor's routers say of IPv6 that a packet is too big, but not for which MTU: the
// field is 0, which senders must ignore (RFC 8201, section 4). So path MTU discovery
// over IPv6 does not work through them, over any link; a sender has to probe (RFC
// 4821). Where this fails gVisor has learnt it, and TestRouter need not probe.
func TestPacketTooBig(t *testing.T) {
	for _, w := range []wire{{name: "endpoint"}, {name: "bare", bare: true}} {
		t.Run(w.name, func(t *testing.T) {
			l := newRouted(t, w, 1400)
			c := capture(l.a)
			from, to := l.nodes(true, false)
			_, err := transfer.Between(t.Context(), from, to, &transfer.Config{Bytes: 1 << 20, Stall: time.Second, Limit: 5 * time.Second})
			c.stop()
			if err == nil {
				t.Error("the transfer found the path's MTU")
			}
			if n := l.stack.Stats().ICMP.V6.PacketsSent.PacketTooBig.Value(); n == 0 || len(c.tooBig) == 0 {
				t.Fatalf("the router sent %d errors, %d came", n, len(c.tooBig))
			}
			wantTooBig(t, c.tooBig, c.sent(), 1400)
		})
	}
}
