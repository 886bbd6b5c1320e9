// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// spoiled are segments of which the one in the middle has a wrong checksum.
func spoiled() []packettest.Frame {
	var batch []packettest.Frame
	for i := range 3 {
		seq := uint32(i * 100)
		batch = append(batch, packettest.TCP{
			Seq: seq, IP: packettest.IP{ID: uint16(i)}, Payload: packettest.Stream(seq, 100), BadChecksum: i == 1,
		}.Frame())
	}
	return batch
}

// A wrong checksum passes as it came where nobody vouches, and is nobody's
// business where the link does.
func TestVouching(t *testing.T) {
	for _, vouched := range []bool{false, true} {
		t.Run(fmt.Sprint(vouched), func(t *testing.T) {
			r := newRig(t, nil, func(l *fakeLink) {
				if vouched {
					l.caps = stack.CapabilityRXChecksumOffload
				}
			})
			batch := spoiled()
			want := 3
			if vouched {
				want = 1
			}
			for path, got := range map[string][]delivery{"frames": r.frames(batch...), "packets": r.packets(whole, batch...)} {
				if len(got) != want {
					t.Fatalf("%s: %d packets, want %d", path, len(got), want)
				}
				for i := range got {
					if vouched {
						break
					}
					if d := packettest.Diff(got[i].Frame, batch[i]); d != "" {
						t.Error(d)
					}
				}
			}
			if s := r.e.Stats(); (s.Verdicts[coalesce.BadChecksum] == 2) == vouched {
				t.Errorf("counted %d bad checksums", s.Verdicts[coalesce.BadChecksum])
			}
		})
	}
}

// Frames that the link has verified are not verified again, one by one.
func TestVerifiedFrames(t *testing.T) {
	r := newRig(t, nil, nil)
	frames := make([]endpoint.Frame, 3)
	for i, f := range spoiled() {
		frames[i] = endpointFrame(f)
	}
	frames[1].Checksum = endpoint.ChecksumVerified
	r.e.DeliverFrames(frames)
	if got := r.nic.take(); len(got) != 1 {
		t.Errorf("%d packets, want 1: the second was verified by the link", len(got))
	}
	frames[0].Checksum, frames[1].Checksum, frames[2].Checksum = endpoint.ChecksumVerified, endpoint.ChecksumNone, endpoint.ChecksumVerified
	r.e.DeliverFrames(frames)
	if got := r.nic.take(); len(got) != 3 {
		t.Errorf("%d packets, want 3: nobody verified the second", len(got))
	}
}

// partialUDP is a datagram whose payload makes its checksum 0x0000, which has to
// be sent as 0xffff (RFC 768), with only the pseudo-header's sum in place.
func partialUDP() (partial, final []byte) {
	u := packettest.UDP{Payload: make([]byte, 10)}
	ip := u.Bytes()
	binary.BigEndian.PutUint16(u.Payload, binary.BigEndian.Uint16(ip[26:])) // makes the sum zero
	final = u.Bytes()
	partial = append(partial, final...)
	pseudo := append(append([]byte{}, final[12:20]...), 0, 17, 0, byte(len(final)-20))
	binary.BigEndian.PutUint16(partial[26:], ^packettest.Checksum(pseudo))
	return partial, final
}

func TestPartialChecksumFinished(t *testing.T) {
	tcp := packettest.TCP{Payload: packettest.Stream(0, 333)}
	half := tcp
	half.Partial = true
	tcp6, half6 := tcp, half
	tcp6.IP.V6, half6.IP.V6 = true, true
	ether, halfEther := tcp, half
	ether.Link.Ethernet, halfEther.Link.Ethernet = true, true
	udp, finalUDP := partialUDP()
	tests := map[string]struct {
		from, want    packettest.Frame
		start, offset uint16
	}{
		"tcp":      {half.Frame(), tcp.Frame(), 20, 16},
		"tcp6":     {half6.Frame(), tcp6.Frame(), 40, 16},
		"ethernet": {halfEther.Frame(), ether.Frame(), 34, 16},
		"udp zero": {
			packettest.Frame{Data: udp, Protocol: packettest.ProtocolIPv4},
			packettest.Frame{Data: finalUDP, Protocol: packettest.ProtocolIPv4}, 20, 6},
		"outside":        {half.Frame(), half.Frame(), 20, 65535},
		"start outside":  {half.Frame(), half.Frame(), 60000, 16},
		"half outside":   {half.Frame(), half.Frame(), 372, 0},
		"last two bytes": {packettest.Frame{Data: make([]byte, 30)}, lastTwo(), 28, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			before := append([]byte{}, test.from.Data...)
			f := endpointFrame(test.from)
			f.Checksum, f.ChecksumStart, f.ChecksumOffset = endpoint.ChecksumPartial, test.start, test.offset
			r.e.DeliverFrames([]endpoint.Frame{f})
			got := r.nic.take()
			if len(got) != 1 {
				t.Fatalf("%d packets", len(got))
			}
			if d := packettest.Diff(got[0].Frame, test.want); d != "" {
				t.Error(d)
			}
			if string(before) != string(test.from.Data) {
				t.Error("the borrowed frame was changed")
			}
		})
	}
}

func lastTwo() packettest.Frame {
	f := packettest.Frame{Data: make([]byte, 30)}
	f.Data[28], f.Data[29] = 0xff, 0xff
	return f
}

// A partial checksum keeps its frame out of any run, in its place, even where the
// link vouches for all; but there nobody looks at it, and it stays as it is.
func TestPartialBetween(t *testing.T) {
	for _, caps := range []stack.LinkEndpointCapabilities{0, stack.CapabilityRXChecksumOffload} {
		r := newRig(t, nil, func(l *fakeLink) { l.caps = caps })
		segments, _ := flow(packettest.TCP{}, 5, 100)
		frames := make([]endpoint.Frame, 5)
		for i, f := range segments {
			frames[i] = endpointFrame(f)
		}
		half := packettest.TCP{Seq: 200, IP: packettest.IP{ID: 2}, Payload: packettest.Stream(200, 100), Partial: true}.Frame()
		frames[2] = endpointFrame(half)
		frames[2].Checksum, frames[2].ChecksumStart, frames[2].ChecksumOffset = endpoint.ChecksumPartial, 20, 16
		r.e.DeliverFrames(frames)
		got := r.nic.take()
		if len(got) != 3 || len(got[0].Data) != 240 || len(got[2].Data) != 240 {
			t.Fatalf("capabilities %v: %d packets, want two merged and one between", caps, len(got))
		}
		want := segments[2]
		if caps != 0 {
			want = half
		}
		if d := packettest.Diff(got[1].Frame, want); d != "" {
			t.Error(d)
		}
	}
}

// What leaves again has to be finished, whoever vouches; so has what cannot be
// known to end here. It is split too: every piece is final.
func TestPartialLeaves(t *testing.T) {
	for _, size := range []int{5000, 700} { // a super-packet, and one that fits
		t.Run(fmt.Sprint(size), func(t *testing.T) { testPartialLeaves(t, size) })
	}
}

func testPartialLeaves(t *testing.T, size int) {
	half := packettest.TCP{Payload: packettest.Stream(0, size), Partial: true}
	final := half
	final.Partial = false
	tagged := packettest.Link{Ethernet: true, VLAN: 5}
	for name, test := range map[string]struct {
		link  packettest.Link
		start uint16
		local bool
		done  bool
	}{
		"ends here":         {packettest.Link{}, 20, true, false},
		"ends elsewhere":    {packettest.Link{}, 20, false, true},
		"Ethernet":          {packettest.Link{Ethernet: true}, 34, true, false},
		"behind a VLAN tag": {tagged, 38, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, func(l *fakeLink) { l.caps = stack.CapabilityRXChecksumOffload })
			r.nic.notLocal.Store(!test.local)
			from := test.link.Wrap(half.Bytes())
			want := []packettest.Frame{from}
			if test.done {
				final.Link = test.link
				want = inSegments(final, 1448)
			}
			f := endpointFrame(from)
			f.Checksum, f.ChecksumStart, f.ChecksumOffset = endpoint.ChecksumPartial, test.start, 16
			if size > 1448 {
				f.GSOType, f.GSOSize = stack.GSOTCPv4, 1448
			}
			r.e.DeliverFrames([]endpoint.Frame{f})
			r.e.DeliverFrames([]endpoint.Frame{f, f})
			got := r.nic.take()
			if len(got) != 3*len(want) {
				t.Fatalf("%d packets, want %d of each frame", len(got), len(want))
			}
			for i := range got {
				if d := packettest.Diff(got[i].Frame, want[i%len(want)]); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// What the host made large passes whole, and closes its flow's run.
func TestSuperFrame(t *testing.T) {
	r := newRig(t, nil, nil)
	segments, _ := flow(packettest.TCP{}, 2, 100)
	big := packettest.TCP{Seq: 200, IP: packettest.IP{ID: 2}, Payload: packettest.Stream(200, 5000), Partial: true}
	after := packettest.TCP{Seq: 5200, IP: packettest.IP{ID: 3}, Payload: packettest.Stream(5200, 100)}
	frames := []endpoint.Frame{endpointFrame(segments[0]), endpointFrame(segments[1]), endpointFrame(big.Frame()), endpointFrame(after.Frame())}
	frames[2].GSOType, frames[2].GSOSize = stack.GSOTCPv4, 1448
	frames[2].Checksum, frames[2].ChecksumStart, frames[2].ChecksumOffset = endpoint.ChecksumPartial, 20, 16
	r.e.DeliverFrames(frames)
	got := r.nic.take()
	if len(got) != 3 {
		t.Fatalf("%d packets, want a merged, the large, and the one after", len(got))
	}
	big.Partial = false
	if d := packettest.Diff(got[1].Frame, big.Frame()); d != "" {
		t.Error(d)
	}
	if n := r.e.Stats().Verdicts[coalesce.Excluded]; n != 1 {
		t.Errorf("%d excluded", n)
	}
}
