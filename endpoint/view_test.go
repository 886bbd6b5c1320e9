// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// viewed is the frame in a view of its own.
func viewed(f endpoint.Frame) endpoint.Frame {
	f.View = buffer.NewViewWithData(f.Data)
	f.Data = f.View.AsSlice()
	return f
}

// A large frame's view goes up with it, without a copy of the payload; whatever is
// not handed up as it came leaves its view to the link.
func TestFrameView(t *testing.T) {
	tcp := packettest.TCP{Flags: packettest.ACK, Payload: packettest.Stream(0, 40000)}
	half := tcp
	half.Partial = true
	small := packettest.TCP{Flags: packettest.ACK, Payload: packettest.Stream(0, 1000)}
	for name, c := range map[string]struct {
		frame endpoint.Frame
		kept  bool
	}{
		"super-packet":     {super(tcp, 1000), true},
		"partial checksum": {super(half, 1000), true},
		"large packet":     {endpointFrame(tcp.Frame()), true},
		"small packet":     {endpointFrame(small.Frame()), false},
		"UDP":              {superUDP(packettest.UDP{Payload: tcp.Payload}, 1000), false},
	} {
		for batch, before := range map[string]int{"alone": 0, "in a batch": 3} {
			t.Run(name+"/"+batch, func(t *testing.T) {
				r := newRig(t, nil, nil)
				var shared bool
				f := viewed(c.frame)
				payload := f.Data[len(f.Data)-1:]
				r.nic.seen = func(views [][]byte) {
					last := views[len(views)-1]
					shared = shared || &last[len(last)-1] == &payload[0]
				}
				frames := make([]endpoint.Frame, before, before+1)
				for i := range frames {
					frames[i] = endpointFrame(plug())
				}
				frames = append(frames, f)
				want := c.frame.Data
				r.e.DeliverFrames(frames)
				if kept := frames[before].View == nil; kept != c.kept || shared != c.kept {
					t.Errorf("kept %v, shared with the stack %v, want %v", kept, shared, c.kept)
				}
				if !c.kept {
					if !bytes.Equal(f.View.AsSlice(), want) {
						t.Error("the link's bytes have changed")
					}
					f.View.Release()
				}
				got := r.nic.take()
				if name == "UDP" {
					if len(got) != before+40 {
						t.Errorf("%d packets", len(got)-before)
					}
					return
				}
				if len(got) != before+1 {
					t.Fatalf("%d packets", len(got)-before)
				}
				if name == "partial checksum" {
					want = super(tcp, 1000).Data
				}
				if !bytes.Equal(got[before].Data, want) {
					t.Error("other bytes than the frame's")
				}
			})
		}
	}
}

// A view stays the link's where the frame is split, or nobody is attached.
func TestFrameViewSplit(t *testing.T) {
	tcp := packettest.TCP{Flags: packettest.ACK, Payload: packettest.Stream(0, 40000)}
	for fate, rigFor := range elsewhere {
		t.Run(fate, func(t *testing.T) {
			r := rigFor(t, nil)
			frames := []endpoint.Frame{viewed(super(tcp, 1000))}
			r.e.DeliverFrames(frames)
			if frames[0].View == nil {
				t.Fatal("the view was kept")
			}
			if got := r.nic.take(); len(got) != 40 {
				t.Errorf("%d packets", len(got))
			}
			r.e.Attach(nil)
			r.e.DeliverFrames(frames)
			if frames[0].View == nil {
				t.Fatal("the view was kept by nobody")
			}
			frames[0].View.Release()
		})
	}
}
