// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"bytes"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// fastRun is a run that left a Table, copied out of it.
type fastRun struct {
	run   coalesce.Run
	bytes []byte
}

// packet describes an arrival to a Table.
func packet(a packettest.Arrival, id int) *coalesce.Packet {
	p := &coalesce.Packet{
		LinkHdrLen: a.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(a.Protocol),
		Vouched: a.Vouched, Exclude: a.Exclude, ID: id,
	}
	p.Head, p.Tail = a.Pieces()
	return p
}

// take copies what leaves.
func take(r *coalesce.Run, arrivals []packettest.Arrival) fastRun {
	f := fastRun{run: *r}
	if r.Count == 1 {
		f.bytes = arrivals[r.ID].Data
		return f
	}
	f.bytes = make([]byte, r.HeaderLen+r.PayloadLen)
	r.PutHeader(f.bytes[:r.HeaderLen])
	r.CopyPayload(f.bytes[r.HeaderLen:])
	return f
}

// comparison runs a burst through a Table and the slow coalescer.
type comparison struct {
	t        testing.TB
	burst    packettest.Burst
	table    *coalesce.Table
	slow     slowCoalescer
	runs     int
	joined   int
	verdicts []coalesce.Verdict
}

// compare fails the test unless both give the same runs with the same bytes, in
// the same order, and returns what there was to see. The Table must be empty;
// it may have been used before.
func compare(t testing.TB, table *coalesce.Table, b packettest.Burst) *comparison {
	c := &comparison{t: t, burst: b, table: table}
	c.slow.udp = b.UDP
	c.slow.endsHere = func(dst []byte) bool { return dst[len(dst)-1] != b.Refuse }
	for i, a := range b.Arrivals {
		for a.Pop || b.MaxPackets > 0 && c.slow.held() >= b.MaxPackets {
			if !c.pop() {
				break
			}
			a.Pop = false
		}
		v := table.Add(packet(a, i))
		c.verdicts = append(c.verdicts, v)
		if joined := c.slow.add(slowFrame{a.Frame, a.Vouched, a.Exclude}); joined != v.Joined() {
			t.Fatalf("packet %d: verdict %v, but want joined = %v\n%s", i, v, joined, c.dump())
		} else if joined {
			c.joined++
		}
		if full := b.MaxPackets > 0 && c.slow.held() >= b.MaxPackets; b.MaxPackets > 0 && full != table.Full() {
			t.Fatalf("packet %d: Full is %v with %d held of %d", i, table.Full(), c.slow.held(), b.MaxPackets)
		}
	}
	for c.pop() {
	}
	return c
}

// pop compares the oldest run of both, and reports whether there was one.
func (c *comparison) pop() bool {
	r, want := c.table.Pop(), c.slow.pop()
	if (r == nil) != (want == nil) {
		c.t.Fatalf("run %d: got %v, want %v\n%s", c.runs, r, want, c.dump())
	}
	if r == nil {
		return false
	}
	got := take(r, c.burst.Arrivals)
	if d := got.differs(want); d != "" {
		c.t.Fatalf("run %d of packets %v: %s\n%s", c.runs, want.members, d, c.dump())
	}
	c.runs++
	return true
}

// differs says in what f is not the run wanted, or "".
func (f *fastRun) differs(want *slowRun) string {
	r := &f.run
	if r.ID != want.members[0] || r.Count != len(want.members) {
		return fmt.Sprintf("got ID %d and count %d", r.ID, r.Count)
	}
	if r.Count > 1 && r.Transport != tcpip.TransportProtocolNumber(want.proto) {
		return fmt.Sprintf("got transport %d, want %d", r.Transport, want.proto)
	}
	if r.Count > 1 && (r.SegmentSize != want.segmentSize || r.FixedID != want.fixedID || r.Vouched != want.vouched) {
		return fmt.Sprintf("got segment size %d, fixed IDs %v, vouched %v; want %d, %v, %v",
			r.SegmentSize, r.FixedID, r.Vouched, want.segmentSize, want.fixedID, want.vouched)
	}
	got, frame := f.bytes, want.first.frame.Frame
	if r.Count > 1 && r.LinkHdrLen != frame.LinkHdrLen {
		return fmt.Sprintf("got link header of %d bytes", r.LinkHdrLen)
	}
	if want.unchecked && len(got) == len(want.bytes) {
		got = bytes.Clone(got)
		copy(got[want.checksumAt:], want.bytes[want.checksumAt:want.checksumAt+2])
	}
	frame.Data = want.bytes
	return packettest.Diff(packettest.Frame{Data: got, LinkHdrLen: frame.LinkHdrLen, Protocol: frame.Protocol}, frame)
}

// dump lists the burst for a failure.
func (c *comparison) dump() string {
	s := fmt.Sprintf("max packets %d, refuse %d, UDP %v\n", c.burst.MaxPackets, c.burst.Refuse, c.burst.UDP)
	for i, a := range c.burst.Arrivals {
		v := "-"
		if i < len(c.verdicts) {
			v = c.verdicts[i].String()
		}
		s += fmt.Sprintf("%3d %-14s head %d tail %d vouched %v exclude %v pop %v: %x\n", i, v,
			a.HeadLen, a.TailLen, a.Vouched, a.Exclude, a.Pop, a.Data[:min(len(a.Data), 100)])
	}
	return s
}

// table returns a Table that obeys the burst's settings.
func table(b packettest.Burst) *coalesce.Table {
	return coalesce.New(&coalesce.Config{
		MaxPackets: b.MaxPackets,
		UDP:        b.UDP,
		EndsHere: func(_ tcpip.NetworkProtocolNumber, dst []byte) bool {
			return dst[len(dst)-1] != b.Refuse
		},
	})
}

// counts tells how often each verdict was given.
func (c *comparison) counts() (n [coalesce.NumVerdicts]int) {
	for _, v := range c.verdicts {
		n[v]++
	}
	return n
}
