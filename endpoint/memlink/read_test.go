// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// One Read drains what is there; sizes and offset are kept to, and bytes in front
// of offset and behind the packet are left alone.
func TestReadBatch(t *testing.T) {
	l, _ := newLink(t, nil)
	a, b := datagram("first").Bytes(), datagram("second one").Bytes()
	send(l, raw(a), raw(b))
	const offset = 17
	bufs, sizes := make([][]byte, 5), []int{-1, -1, -1, -1, -1}
	for i := range bufs {
		bufs[i] = bytes.Repeat([]byte{0xee}, offset+1500)
	}
	n, err := l.Read(bufs, sizes, offset)
	if n != 2 || err != nil || sizes[0] != len(a) || sizes[1] != len(b) || sizes[2] != -1 {
		t.Fatalf("Read gave %d, %v, sizes %v", n, err, sizes)
	}
	same(t, [][]byte{bufs[0][offset : offset+sizes[0]], bufs[1][offset : offset+sizes[1]]}, a, b)
	for i, buf := range bufs {
		front, back := buf[:offset], buf[offset:]
		if i < n {
			back = back[sizes[i]:]
		}
		if bytes.Trim(front, "\xee") != nil && len(bytes.Trim(front, "\xee")) > 0 || len(bytes.Trim(back, "\xee")) > 0 {
			t.Errorf("buffer %d was written to outside its packet", i)
		}
	}
}

// A super-packet leaves in segments that fit the MTU.
func TestReadSplits(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l, _ := newLink(t, nil)
		tcp := packettest.TCP{IP: packettest.IP{V6: v6}, Flags: packettest.ACK | packettest.PSH, Payload: packettest.Stream(0, 60000)}
		send(l, packet(tcp, 1400))
		got, err := read(l, 128, 1500)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, segments(tcp, 1400)...)
	}
}

// What does not fit into one Read comes with the next ones, in order.
func TestReadCarriesOver(t *testing.T) {
	for _, bufs := range []int{1, 2, 3, 7, 41, 42, 43, 44, 128} {
		l, _ := newLink(t, nil)
		tcp := packettest.TCP{Payload: packettest.Stream(0, 60000)}
		small := datagram("x").Bytes()
		send(l, raw(small), packet(tcp, 1448), raw(small), packet(tcp, 1448), raw(small))
		want := [][]byte{small}
		for range 2 {
			want = append(want, segments(tcp, 1448)...)
			want = append(want, small)
		}
		var got [][]byte
		for len(got) < len(want) {
			some, err := read(l, bufs, 1500)
			if err != nil || len(some) == 0 {
				t.Fatalf("%d buffers: %d packets, %v", bufs, len(some), err)
			}
			got = append(got, some...)
		}
		same(t, got, want...)
		if s := l.Stats(); s.Read != uint64(len(want)) || s.Queued != 5 {
			t.Errorf("%d buffers: counted %+v, want %d read", bufs, s, len(want))
		}
	}
}

// A super-packet that fits into one Read is not torn apart by two.
func TestReadKeepsSegmentsTogether(t *testing.T) {
	l, _ := newLink(t, nil)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 14480)}
	send(l, packet(tcp, 1448), packet(tcp, 1448))
	for range 2 {
		if got, _ := read(l, 15, 1500); len(got) != 10 {
			t.Errorf("%d packets in one Read, want the 10 segments of one", len(got))
		}
	}
}

// Buffers that are too small lose nothing.
func TestReadShortBuffer(t *testing.T) {
	l, _ := newLink(t, nil)
	small, large := datagram("x").Bytes(), datagram(string(make([]byte, 500))).Bytes()
	send(l, raw(large), raw(small), raw(large))
	if got, err := read(l, 3, len(large)-1); len(got) != 0 || !errors.Is(err, memlink.ErrShortBuffer) {
		t.Fatalf("Read gave %d packets, %v", len(got), err)
	}
	bufs := [][]byte{make([]byte, 528), make([]byte, 100), make([]byte, 527), nil}
	sizes := make([]int, 4)
	n, err := l.Read(bufs, sizes, 0)
	if n != 2 || err != nil {
		t.Fatalf("Read gave %d, %v, want two packets that fit", n, err)
	}
	same(t, [][]byte{bufs[0][:sizes[0]], bufs[1][:sizes[1]]}, large, small)
	got, err := read(l, 3, 528)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, large)

	tcp := packettest.TCP{Payload: packettest.Stream(0, 5000)}
	send(l, packet(tcp, 1448))
	bufs = [][]byte{make([]byte, 1500), make([]byte, 10)}
	if n, err := l.Read(bufs, sizes, 0); n != 1 || err != nil {
		t.Fatalf("Read gave %d, %v", n, err)
	}
	rest, err := read(l, 9, 1488)
	if err != nil {
		t.Fatal(err)
	}
	same(t, append([][]byte{bufs[0][:sizes[0]]}, rest...), segments(tcp, 1448)...)
}

// Arguments that make no sense are errors, and lose nothing.
func TestReadArguments(t *testing.T) {
	l, _ := newLink(t, nil)
	p := datagram("x").Bytes()
	send(l, raw(p))
	buf := [][]byte{make([]byte, 1500)}
	tests := map[string]struct {
		bufs   [][]byte
		sizes  []int
		offset int
	}{
		"no buffers":      {nil, nil, 0},
		"too few sizes":   {[][]byte{buf[0], buf[0]}, make([]int, 1), 0},
		"negative offset": {buf, make([]int, 1), -1},
		"offset too far":  {buf, make([]int, 1), 1501},
		"offset huge":     {buf, make([]int, 1), math.MaxInt},
		"nil buffer":      {[][]byte{nil}, make([]int, 1), 0},
	}
	for name, test := range tests {
		if n, err := l.Read(test.bufs, test.sizes, test.offset); n != 0 || err == nil {
			t.Errorf("%s: Read gave %d, %v", name, n, err)
		}
	}
	got, err := read(l, 1, 1500)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, p)
}

// A smaller MTU holds for the next packet that Read begins with, also when Read
// was waiting for it.
func TestSetMTU(t *testing.T) {
	l, _ := newLink(t, nil)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 9000)}
	send(l, packet(tcp, 1448))
	l.SetMTU(1280)
	got, err := read(l, 20, 1500)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, segments(tcp, 1240)...)
}

func TestSetMTUWhileReadWaits(t *testing.T) {
	l, _ := newLink(t, nil)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 9000)}
	result := make(chan [][]byte)
	go func() {
		got, _ := read(l, 20, 1500)
		result <- got
	}()
	awaitBlocked(t, "memlink.(*queue).pop")
	l.SetMTU(1280)
	send(l, packet(tcp, 1448))
	same(t, leak.Done(t, "Read", result), segments(tcp, 1240)...)
}

// awaitBlocked waits until a goroutine is in f.
func awaitBlocked(t *testing.T, f string) {
	t.Helper()
	leak.Until(t, "somebody in "+f, func() bool { return len(leak.Goroutines(f)) > 0 })
	time.Sleep(5 * time.Millisecond) // from there to the waiting
}

// What Read cannot send it drops, counts, and goes on.
func TestReadDropsUnsplittable(t *testing.T) {
	l, _ := newLink(t, nil)
	big, small := datagram(string(make([]byte, 3000))).Bytes(), datagram("x").Bytes()
	send(l, raw(big), raw(small), raw(big))
	got, err := read(l, 5, 4000)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, small)
	if s := l.Stats(); s.DroppedUnsplittable != 2 || s.Read != 1 {
		t.Errorf("counted %+v", s)
	}
}

// Close ends a Read that waits, and all later ones.
func TestCloseEndsRead(t *testing.T) {
	l, _ := newLink(t, nil)
	const readers = 3
	errs := make(chan error, readers)
	for range readers {
		go func() {
			_, err := read(l, 1, 1500)
			errs <- err
		}()
	}
	awaitBlocked(t, "memlink.(*queue).pop")
	leak.Within(t, "Close", l.Close)
	for range readers {
		if err := leak.Done(t, "Read", errs); !errors.Is(err, memlink.ErrClosed) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read gave %v", err)
		}
	}
	if _, err := read(l, 1, 1500); !errors.Is(err, memlink.ErrClosed) {
		t.Errorf("Read after Close gave %v", err)
	}
}

// Close releases what Read has left over (leak.Check), and twice does no harm.
// What a Read has left over goes with the stack that sent it; the next stack's
// packets come whole.
func TestDetachReleasesLeftover(t *testing.T) {
	l, _ := newLink(t, nil)
	big := packet(packettest.TCP{Payload: packettest.Stream(0, 9000)}, 1448)
	big.IncRef()
	defer big.DecRef()
	send(l, big)
	if got, err := read(l, 2, 1500); len(got) != 2 || err != nil {
		t.Fatal(len(got), err)
	}
	l.Attach(nil)
	if n := big.ReadRefs(); n != 1 {
		t.Errorf("%d references after Attach(nil), want the test's own", n)
	}
	l.Attach(new(sink))
	send(l, packet(packettest.TCP{Payload: packettest.Stream(0, 4000)}, 1448))
	if got, err := read(l, 8, 1500); len(got) != 3 || err != nil {
		t.Errorf("read %d packets, %v, want the 3 that the second stack sent", len(got), err)
	}
}

func TestCloseReleasesLeftover(t *testing.T) {
	l, _ := newLink(t, nil)
	send(l, packet(packettest.TCP{Payload: packettest.Stream(0, 9000)}, 1448), packet(packettest.TCP{}, 1448))
	if got, err := read(l, 2, 1500); len(got) != 2 || err != nil {
		t.Fatal(len(got), err)
	}
	l.Close()
	l.Close()
	if n, err := send(l, raw(datagram("x").Bytes())); n != 0 || err == nil {
		t.Errorf("WritePackets after Close gave %d, %v", n, err)
	}
}
