// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import "testing"

func TestFramePackets(t *testing.T) {
	tcp := func(payload, size int) Frame {
		f := Frame{Data: make([]byte, 54+payload), GSOType: GSOTCPv4, GSOSize: size, NeedsCsum: true, CsumStart: 34}
		f.Data[34+12] = 5 << 4
		return f
	}
	cut := tcp(0, 100)
	cut.Data = cut.Data[:40]
	for _, c := range []struct {
		name string
		f    Frame
		want int
	}{
		{"no type", Frame{Data: make([]byte, 200)}, 1},
		{"whole segments", tcp(200, 100), 2},
		{"a short last", tcp(201, 100), 3},
		{"one byte", tcp(1, 100), 1},
		{"no payload", tcp(0, 100), 1},
		{"size 0", tcp(200, 0), 1},
		{"cut off", cut, 1},
		{"UDP", Frame{Data: make([]byte, 42+30), GSOType: GSOUDP, GSOSize: 10, CsumStart: 34}, 3},
	} {
		if got := c.f.Packets(); got != c.want {
			t.Errorf("%s: %d packets, want %d", c.name, got, c.want)
		}
	}
}
