// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// A merged run is split again into the same frames, whether its IPv4 IDs count or not,
// and the test sees that it was merged.
func TestResplit(t *testing.T) {
	r := opened(t, OpenResplit)
	between := entrySocket(t, r)
	major, minor := Release()
	for _, c := range []struct {
		name      string
		df, fixed bool
	}{
		{"counting, DF=0", false, false},
		{"counting, DF=1", true, false},
		{"fixed, DF=0", false, true},
		{"fixed, DF=1", true, true},
	} {
		burst := segments(10, func(i int, s *packettest.TCP) {
			s.IP.DF = c.df
			if c.fixed {
				s.IP.ID = 7
			}
		})
		got, err := r.Through(burst)
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.name, got, burst)
		merged := 0
		for {
			f, ok, err := between.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			merged = max(merged, f.Packets())
		}
		if merged != len(burst) && (major > 6 || major == 6 && minor >= 18) {
			t.Errorf("%s: merged %d of %d", c.name, merged, len(burst))
		}
	}
}

// entrySocket is a packet socket on the device that merges.
func entrySocket(t *testing.T, r *Resplit) (s *socket) {
	t.Helper()
	err := r.thread.do(func() error {
		c, err := openControl()
		if err != nil {
			return err
		}
		defer c.close()
		s, err = openSocket(c.index(r.source.tap.name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// Everything else passes as it came, but for what bridges do not forward.
func TestResplitPass(t *testing.T) {
	r := opened(t, OpenResplit)
	for name, frame := range passing() {
		if len(frame) > MaxBridged {
			continue
		}
		got, err := r.Through([][]byte{frame})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, got, [][]byte{frame})
	}
	pause := append([]byte{1, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0x08}, make([]byte, 46)...)
	got, err := r.Through([][]byte{pause, passing()["ARP"]})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "behind a frame that bridges keep", got, [][]byte{passing()["ARP"]})
}

func TestResplitUDP(t *testing.T) {
	r := opened(t, OpenResplit)
	for _, v6 := range []bool{false, true} {
		burst := datagrams(64, func(i int, d *packettest.UDP) { d.IP.V6 = v6 })
		got, err := r.Through(burst)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "UDP", got, burst)
	}
}
