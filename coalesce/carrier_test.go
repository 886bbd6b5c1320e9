// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// What a caller of the Table may do, beyond packets and their fields.

func TestEmpty(t *testing.T) {
	table := coalesce.New(nil)
	if r := table.Pop(); r != nil {
		t.Errorf("Pop of an empty Table: %+v", r)
	}
	if table.Full() {
		t.Error("an empty Table is Full")
	}
}

// A run's fields, as PutHeader's and CopyPayload's callers need them.
func TestRunFields(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(3, 100)
		p[2].Payload = p[2].Payload[:60]
		table := coalesce.New(nil)
		for i, a := range arrivals(p...) {
			table.Add(packet(a, 40+i))
		}
		r := table.Pop()
		f := p[0].Frame()
		hdrLen := len(f.Data) - 100
		if r.ID != 40 || r.Count != 3 || r.SegmentSize != 100 || r.PayloadLen != 260 ||
			r.LinkHdrLen != f.LinkHdrLen || r.HeaderLen != hdrLen || r.FixedID || r.Vouched || r.Transport != 6 {
			t.Errorf("got %+v, want TCP, ID 40, count 3, segment size 100, payload 260, headers %d and %d", r, f.LinkHdrLen, hdrLen)
		}
	})
}

// A packet in pieces is the same packet.
func TestPieces(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for _, r := range rows {
			if r.ip == 4 && w.v6 || r.ip == 6 && !w.v6 {
				continue
			}
			p := w.segments(3, 101)
			r.change(&p[1])
			whole := packettest.Burst{Arrivals: arrivals(p...)}
			want := compare(t, coalesce.New(nil), whole).verdicts
			for _, tail := range []int{1, 2, 7, 100} {
				cut := packettest.Burst{Arrivals: slices.Clone(whole.Arrivals)}
				for i := range cut.Arrivals {
					a := &cut.Arrivals[i]
					hdrLen := len(p[0].Frame().Data) - 101
					a.HeadLen, a.TailLen = hdrLen+i, tail
					if r.name == "data offset beyond the packet" || len(p[i].IP.Ext)+len(p[i].IP.Options) > 0 {
						a.TailLen = 0
					}
				}
				if got := compare(t, coalesce.New(nil), cut).verdicts; !slices.Equal(got, want) {
					t.Errorf("%s in pieces of %d: got %v, want %v", r.name, tail, got, want)
				}
			}
		}
	})
}

// Headers that Head does not hold make a packet pass.
func TestHeadTooShort(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(1, 100)[0].Frame()
		hdrLen := len(p.Data) - 100
		for n := range hdrLen {
			table := coalesce.New(nil)
			v := table.Add(&coalesce.Packet{
				Head: p.Data[:n:n], Tail: [][]byte{p.Data[n:]},
				LinkHdrLen: p.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(p.Protocol),
			})
			if v != coalesce.Malformed && v != coalesce.NotIP {
				t.Errorf("head of %d bytes: %v", n, v)
			}
			if r := table.Pop(); r == nil || r.Count != 1 || table.Pop() != nil {
				t.Errorf("head of %d bytes: the packet did not leave", n)
			}
		}
	})
}

// Truncated at every length a packet passes as it came.
func TestTruncated(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(3, 30)
		for i := range p {
			if w.v6 {
				p[i].IP.Ext = []packettest.Ext{packettest.HopByHop(0), packettest.DestinationOptions(0)}
			}
		}
		whole := p[1].Frame()
		for n := range len(whole.Data) {
			in := arrivals(p...)
			in[1].Data = whole.Data[:n:n]
			c := compare(t, coalesce.New(nil), packettest.Burst{Arrivals: in})
			if v := c.verdicts[1]; v != coalesce.Malformed && v != coalesce.NotIP && v != coalesce.LengthMismatch {
				t.Errorf("%d of %d bytes: %v", n, len(whole.Data), v)
			}
		}
	})
}

// What is no packet at all.
func TestNotIP(t *testing.T) {
	ip := packettest.TCP{Payload: []byte("x")}.Bytes()
	for _, tt := range []struct {
		name     string
		data     []byte
		link     int
		protocol tcpip.NetworkProtocolNumber
	}{
		{"nothing", nil, 0, 0x0800},
		{"nothing behind the link header", make([]byte, 14), 14, 0x0800},
		{"less than the link header", make([]byte, 13), 14, 0x0800},
		{"ARP", make([]byte, 42), 14, 0x0806},
		{"IPv4 said to be IPv6", ip, 0, 0x86dd},
		{"version 0", make([]byte, 60), 0, 0x0800},
		{"no tag", make([]byte, 14), 14, 0x8100},
		{"half a tag", make([]byte, 17), 14, 0x8100},
		{"a tag and nothing", make([]byte, 18), 14, 0x8100},
		{"two tags", append(append(make([]byte, 14), 0, 5, 0x81, 0, 0, 6, 8, 0), ip...), 14, 0x8100},
		{"link header of negative length", ip, -1, 0x0800},
		{"tag behind a link header of negative length", ip, -5, 0x8100}, // once a panic
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := coalesce.New(nil)
			if v := table.Add(&coalesce.Packet{Head: tt.data, LinkHdrLen: tt.link, Protocol: tt.protocol}); v != coalesce.NotIP {
				t.Errorf("got %v", v)
			}
			if r := table.Pop(); r == nil || r.Count != 1 {
				t.Errorf("got %+v, want the packet", r)
			}
		})
	}
}

// Full and Pop: when the bound is met the oldest run leaves, whole, and a flow
// goes on in a new one.
func TestMaxPackets(t *testing.T) {
	p := worlds[0].segments(6, 100)
	q := other(p)
	table := coalesce.New(&coalesce.Config{MaxPackets: 4})
	in := arrivals(p[0], q[0], p[1], q[1], p[2], q[2], p[3], q[3])
	var left []string
	for i, a := range in {
		if full := i >= 4 && i%2 == 0; table.Full() != full {
			t.Errorf("before packet %d: Full is %v", i, table.Full())
		}
		for table.Full() {
			r := table.Pop()
			left = append(left, fmt.Sprint(r.ID, r.Count))
		}
		table.Add(packet(a, i))
	}
	for r := table.Pop(); r != nil; r = table.Pop() {
		left = append(left, fmt.Sprint(r.ID, r.Count))
	}
	if want := []string{"0 2", "1 3", "4 2", "7 1"}; !slices.Equal(left, want) {
		t.Errorf("left (first packet, count): got %q, want %q", left, want)
	}
	if n := coalesce.DefaultMaxPackets; n < 64 {
		t.Errorf("DefaultMaxPackets is %d", n)
	}
}

// Exceeding the bound does no other harm.
func TestMaxPacketsExceeded(t *testing.T) {
	p := worlds[0].segments(100, 10)
	table := coalesce.New(&coalesce.Config{MaxPackets: 1})
	compare(t, table, packettest.Burst{Arrivals: arrivals(p...)})
}

// Exclude: passes and closes its flow's run.
func TestExclude(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(4, 100)
		in := arrivals(p...)
		in[1].Exclude = true
		wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Excluded, coalesce.Started, coalesce.Merged),
			frames(p[0].Frame(), p[1].Frame(), merged(p[2:]...)))
	})
}

// The merged checksum must be right if the members' were, verified or not; a
// link that vouches is believed even where it is wrong.
func TestVouched(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for vouched := range 8 { // which of the three
			p := w.segments(3, 101)
			in := arrivals(p...)
			for i := range in {
				in[i].Vouched = vouched>>i&1 != 0
			}
			wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
		}
		for bad := range 3 {
			p := w.segments(3, 101)
			p[bad].BadChecksum = true
			in := arrivals(p...)
			for i := range in {
				in[i].Vouched = i == bad
			}
			table := coalesce.New(nil)
			for i, a := range in {
				table.Add(packet(a, i))
			}
			if r := table.Pop(); r.Count != 3 || !r.Vouched {
				t.Errorf("packet %d vouched for: got %+v, want a vouched run of 3", bad, r)
			}
		}
	})
}

// EndsHere is asked before a second packet joins, with the destination, at most
// once for each run, and never for packets that could not merge anyway.
func TestEndsHere(t *testing.T) {
	for _, answer := range []bool{true, false} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) { testEndsHere(t, w, answer) })
		})
	}
}

func testEndsHere(t *testing.T, w world, answer bool) {
	asked := 0
	cfg := &coalesce.Config{EndsHere: func(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
		asked++
		wantProtocol, wantDst := tcpip.NetworkProtocolNumber(0x0800), []byte{10, 0, 0, 2}
		if w.v6 {
			wantProtocol, wantDst = 0x86dd, []byte{0xfd, 15: 2}
		}
		if protocol != wantProtocol || !bytes.Equal(dst, wantDst) {
			t.Errorf("asked for %#x %x", protocol, dst)
		}
		return answer
	}}
	p := w.segments(4, 100)
	if answer {
		wantLeaving(t, cfg, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
	} else {
		wantLeaving(t, cfg, arrivals(p...), verdicts(coalesce.Started, coalesce.NotLocal, coalesce.NotLocal, coalesce.NotLocal),
			frames(p[0].Frame(), p[1].Frame(), p[2].Frame(), p[3].Frame()))
	}
	if asked != 1 { // the answer is remembered while the Table is not empty
		t.Errorf("asked %d times", asked)
	}

	asked = 0
	q := other(p[1:2])[0]
	gap := p[1]
	gap.Seq++
	wantLeaving(t, cfg, arrivals(p[0], q, gap), verdicts(coalesce.Started, coalesce.Started, coalesce.SequenceGap),
		frames(p[0].Frame(), q.Frame(), gap.Frame()))
	if asked != 0 {
		t.Errorf("asked %d times though nothing could merge", asked)
	}
}

// Two destinations in turn: still no more than once a run, and each run has its
// own destination's answer.
func TestEndsHereAlternating(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		asked := map[byte]int{}
		cfg := &coalesce.Config{EndsHere: func(_ tcpip.NetworkProtocolNumber, dst []byte) bool {
			last := dst[len(dst)-1]
			asked[last]++
			return last == 2
		}}
		here := w.segments(3, 100)
		there := w.segments(3, 100)
		for i := range there {
			there[i].IP.Dst = addr(w.v6, 3)
		}
		wantLeaving(t, cfg, arrivals(here[0], there[0], here[1], there[1], here[2], there[2]),
			verdicts(coalesce.Started, coalesce.Started, coalesce.Merged, coalesce.NotLocal, coalesce.Merged, coalesce.NotLocal),
			frames(merged(here...), there[0].Frame(), there[1].Frame(), there[2].Frame()))
		if asked[2] != 1 || asked[3] > 2 {
			t.Errorf("asked %v", asked)
		}
	})
}

// The answer is forgotten when the Table is empty: addresses come and go.
func TestEndsHereForgets(t *testing.T) {
	answer := false
	table := coalesce.New(&coalesce.Config{EndsHere: func(tcpip.NetworkProtocolNumber, []byte) bool { return answer }})
	in := arrivals(worlds[0].segments(2, 100)...)
	for _, want := range []coalesce.Verdict{coalesce.NotLocal, coalesce.Merged} {
		table.Add(packet(in[0], 0))
		if v := table.Add(packet(in[1], 1)); v != want {
			t.Errorf("got %v, want %v", v, want)
		}
		for table.Pop() != nil {
		}
		answer = true
	}
}
