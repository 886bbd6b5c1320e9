// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// frameSink is a sink that takes whole batches.
type frameSink struct {
	sink
	batches [][]packettest.Frame
}

func (s *frameSink) DeliverFrames(frames []endpoint.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch []packettest.Frame
	for _, f := range frames {
		if f.LinkHdrLen != 0 || f.Checksum != endpoint.ChecksumNone || f.GSOType != stack.GSONone {
			panic(fmt.Sprintf("memlink labelled a frame %+v", f))
		}
		batch = append(batch, packettest.Frame{Data: append([]byte{}, f.Data...), Protocol: uint16(f.Protocol)})
	}
	s.batches = append(s.batches, batch)
}

// One Write is one batch; the offset is skipped; what is not IP is dropped and
// counted; all count as taken.
func TestWrite(t *testing.T) {
	batch := [][]byte{
		datagram("one").Bytes(), nil, {0x25, 1, 2}, datagram("two").Bytes(),
		packettest.TCP{IP: packettest.IP{V6: true}}.Bytes(), {0x45}, make([]byte, 3),
	}
	want := []packettest.Frame{
		{Data: batch[0], Protocol: packettest.ProtocolIPv4}, {Data: batch[3], Protocol: packettest.ProtocolIPv4},
		{Data: batch[4], Protocol: packettest.ProtocolIPv6}, {Data: batch[5], Protocol: packettest.ProtocolIPv4},
	}
	for _, offset := range []int{0, 1, 30} {
		var bufs [][]byte
		for _, b := range batch {
			bufs = append(bufs, append(make([]byte, offset), b...))
		}
		t.Run(fmt.Sprint("frames/", offset), func(t *testing.T) {
			l, _ := newLink(t, nil)
			var s frameSink
			l.Attach(&s)
			if n, err := l.Write(bufs, offset); n != len(bufs) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
			if len(s.batches) != 1 {
				t.Fatalf("%d batches", len(s.batches))
			}
			sameFrames(t, s.batches[0], want)
			if st := l.Stats(); st.Written != 7 || st.DroppedNotIP != 3 {
				t.Errorf("counted %+v", st)
			}
		})
		t.Run(fmt.Sprint("packets/", offset), func(t *testing.T) {
			l, s := newLink(t, nil)
			if n, err := l.Write(bufs, offset); n != len(bufs) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
			sameFrames(t, s.take(), want)
		})
	}
}

func sameFrames(t *testing.T, got, want []packettest.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range want {
		if d := packettest.Diff(got[i], want[i]); d != "" {
			t.Errorf("packet %d: %s", i, d)
		}
	}
}

// The buffers are the caller's again when Write returns.
func TestWriteKeepsNothing(t *testing.T) {
	l, s := newLink(t, nil)
	buf := datagram("before").Bytes()
	want := packettest.Frame{Data: datagram("before").Bytes(), Protocol: packettest.ProtocolIPv4}
	var kept *stack.PacketBuffer
	d := &keeper{sink: s, kept: &kept}
	l.Attach(d)
	l.Write([][]byte{buf}, 0)
	clear(buf)
	s.DeliverNetworkPacket(packettest.ProtocolIPv4, kept)
	kept.DecRef()
	sameFrames(t, s.take(), []packettest.Frame{want})
}

type keeper struct {
	*sink
	kept **stack.PacketBuffer
}

func (k *keeper) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	*k.kept = pkt.IncRef()
}

// An offset outside any buffer is an error, and nothing is taken.
func TestWriteArguments(t *testing.T) {
	l, s := newLink(t, nil)
	p := datagram("x").Bytes()
	for _, offset := range []int{-1, len(p) - 1, len(p) + 1, math.MaxInt, math.MinInt} {
		if n, err := l.Write([][]byte{p, p[:3]}, offset); n != 0 || err == nil {
			t.Errorf("offset %d: Write gave %d, %v", offset, n, err)
		}
	}
	if n, err := l.Write(nil, 5); n != 0 || err != nil {
		t.Errorf("an empty Write gave %d, %v", n, err)
	}
	if got := s.take(); len(got) != 0 || l.Stats().Written != 0 {
		t.Errorf("%d packets delivered", len(got))
	}
}

// Without a stack packets are dropped and counted, in both directions; after
// Close they are an error.
func TestNotAttached(t *testing.T) {
	l, s := newLink(t, nil)
	p := datagram("x").Bytes()
	send(l, raw(p), raw(p))
	l.Attach(nil)
	if n, err := l.Write([][]byte{p}, 0); n != 1 || err != nil {
		t.Errorf("Write gave %d, %v", n, err)
	}
	if n, err := send(l, raw(p)); n != 0 || err != nil {
		t.Errorf("WritePackets gave %d, %v", n, err)
	}
	if st := l.Stats(); st.DroppedDetached != 4 || l.IsAttached() {
		t.Errorf("counted %+v, want two queued, one written and one sent dropped", st)
	}
	l.Attach(s)
	l.Write([][]byte{p}, 0)
	send(l, raw(p))
	got, err := read(l, 4, 1500)
	if len(s.take()) != 1 || len(got) != 1 || err != nil {
		t.Errorf("attached again: %d packets read, %v", len(got), err)
	}
	l.Close()
	if n, err := l.Write([][]byte{p}, 0); n != 0 || !errors.Is(err, memlink.ErrClosed) {
		t.Errorf("Write after Close gave %d, %v", n, err)
	}
	if l.Attach(s); l.IsAttached() {
		t.Error("attached after Close")
	}
}

// Several goroutines write, one for each flow, under an Endpoint: each flow
// arrives whole and in order.
func TestConcurrentWriters(t *testing.T) {
	l, _ := newLink(t, nil)
	e := endpoint.New(l, nil)
	var s sink
	e.Attach(&s)
	const writers, batches, each = 8, 50, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			seq := uint32(0)
			for range batches {
				var bufs [][]byte
				for range each {
					bufs = append(bufs, packettest.TCP{SrcPort: uint16(w + 1), Seq: seq, Payload: packettest.Stream(seq, 100)}.Bytes())
					seq += 100
				}
				if _, err := l.Write(bufs, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := map[byte]uint32{}
	for _, f := range s.take() {
		port := f.Data[21]
		seq := uint32(f.Data[24])<<24 | uint32(f.Data[25])<<16 | uint32(f.Data[26])<<8 | uint32(f.Data[27])
		if seq != next[port] {
			t.Fatalf("flow %d: sequence number %d, want %d", port, seq, next[port])
		}
		next[port] += uint32(len(f.Data) - 40)
	}
	for w := range writers {
		if got := next[byte(w+1)]; got != batches*each*100 {
			t.Errorf("flow %d: %d bytes", w+1, got)
		}
	}
	e.Close()
}
