// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/oracle/kernel"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// inCourt returns a court for the test, which is skipped where there is none.
func inCourt(t *testing.T) *court {
	c, err := newCourt()
	if errors.Is(err, kernel.ErrPrivilege) {
		t.Skipf("needs privilege: TAP devices in a network namespace: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestRandom compares this library with the running kernel, on bursts and
// super-packets that are the same in every run.
func TestRandom(t *testing.T) {
	o := options{bursts: 4000, splits: 4000, resplits: 1000}
	if testing.Short() {
		o = options{bursts: 400, splits: 400, resplits: 100}
	}
	c := inCourt(t)
	d, err := c.random(rand.New(rand.NewPCG(7, 8)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.summary())
	if d != "" {
		t.Fatalf("not a deliberate difference:\n%s", d)
	}
	m := &c.merges.count
	if m.bursts != o.bursts || c.ids.count.bursts != o.resplits || c.splits != o.splits {
		t.Errorf("%d bursts, %d bursts split again and %d super-packets were judged", m.bursts, c.ids.count.bursts, c.splits)
	}
	if m.merging < m.bursts/2 {
		t.Errorf("in %d of %d bursts something merged, want half of them at least", m.merging, m.bursts)
	}
	for r := reason(1); r < numReasons && !testing.Short(); r++ {
		if m.reasons[r]+c.ids.count.reasons[r] == 0 && r != versionField { // in TestFound
			t.Errorf("the difference %v was never met", r)
		}
	}
}

// TestFound holds bursts that once showed something.
func TestFound(t *testing.T) {
	c := inCourt(t)
	for _, test := range found {
		t.Run(test.name, func(t *testing.T) {
			mix, err := hex.DecodeString(test.mix)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := c.wrong(mix); d != "" || err != nil {
				t.Error(d, err)
			}
		})
	}
}

var found = []struct{ name, mix string }{
	{"Linux merges IPv6 packets whatever their version field says",
		"000100000000000000000000000000000000c20000c20000c200"},
	{"packet sockets see frames of unknown ethertypes late",
		"040000000000000000010000000000000004b90d00ac00"},
	{"and frames of 802.2 not so late",
		"004101000000000000000000000000000000b83800b800"},
}

// TestJudgeNotices lets a judge compare with a kernel that does not merge, or
// that merges what it must not.
func TestJudgeNotices(t *testing.T) {
	frames := func() (f [][]byte) {
		for i := range uint32(3) {
			f = append(f, packettest.TCP{
				Link: packettest.Link{Ethernet: true}, IP: packettest.IP{ID: uint16(i)},
				Seq: 100 * i, Payload: packettest.Stream(100*i, 100),
			}.Frame().Data)
		}
		return f
	}
	table := newTable()
	ours := func(f [][]byte) []left { return merge(table, f, whole) }
	for _, test := range []struct {
		name string
		ask  func(f [][]byte) []left
		same bool
	}{
		{"equal", ours, true},
		{"nothing merges", func(f [][]byte) (out []left) {
			for _, data := range f {
				out = append(out, left{data: data})
			}
			return out
		}, false},
		{"the last is lost", func(f [][]byte) []left { return ours(f[:2]) }, false},
		{"a byte is wrong", func(f [][]byte) []left {
			out := ours(f)
			out[0].data[len(out[0].data)-1]++
			return out
		}, false},
		{"the segment size is wrong", func(f [][]byte) []left {
			out := ours(f)
			out[0].segmentSize++
			return out
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := &judge{takes: func([]byte) bool { return true }, ours: ours, ask: func(f [][]byte) ([]left, error) { return test.ask(f), nil }}
			d, err := j.burst(frames())
			if err != nil || (d == "") != test.same {
				t.Errorf("got %q, %v", d, err)
			}
		})
	}
}

// TestShrink wants the smallest mix that still shows what is looked for.
func TestShrink(t *testing.T) {
	mix := packettest.RandomMix(rand.New(rand.NewPCG(1, 1)))
	for len(packettest.ParseMix(mix).Arrivals) < 20 {
		mix = append(mix, 0, 0, 0)
	}
	small, d, err := shrink(mix, func(mix []byte) (string, error) {
		if len(packettest.ParseMix(mix).Arrivals) >= 3 {
			return "three packets", nil
		}
		return "", nil
	})
	if n := len(packettest.ParseMix(small).Arrivals); err != nil || d != "three packets" || n != 3 {
		t.Errorf("got %d packets, %q, %v", n, d, err)
	}
}
