// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// aFew is how often a reader of an idle link may look whether there is something:
// signals interrupt it.
const aFew = 10

// A reader that waits is stopped; an idle link uses no CPU.
func TestCloseWhileIdle(t *testing.T) {
	l, _ := pair(t, rawlink.Config{}, &frames{})
	leak.Until(t, "the reader to wait", func() bool { return l.Stats().Waits > 0 })
	before := l.Stats().Waits
	time.Sleep(200 * time.Millisecond)
	if n := l.Stats().Waits - before; n > aFew {
		t.Errorf("looked for frames %d times in 200 ms of nothing", n)
	}
	leak.Within(t, "Close", l.Close)
	leak.Within(t, "Close again", l.Close)
	leak.Within(t, "Wait", l.Wait)
	l.Attach(&frames{})
	if l.IsAttached() {
		t.Error("attached after Close")
	}
}

// Close closes the descriptors; a New that fails does not.
func TestOwnership(t *testing.T) {
	fd, _ := socketpair(t, unix.SOCK_SEQPACKET)
	if _, err := rawlink.New(&rawlink.Config{FDs: []int{fd}, Ethernet: true, Address: "short"}); err == nil {
		t.Fatal("no error")
	}
	if _, err := rawlink.New(&rawlink.Config{FDs: []int{fd, -1}}); err == nil {
		t.Fatal("no error")
	}
	l, err := rawlink.New(&rawlink.Config{FDs: []int{fd}})
	if err != nil {
		t.Fatal("after failures:", err)
	}
	done := false
	l.SetOnCloseAction(func() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Error("closed before the action")
		}
		done = true
	})
	l.Close()
	if !done {
		t.Error("the action was not executed")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is not closed: %v", err)
	}
}

// Attach, detach and attach again: each session gets what came while it lasted, and
// what waited before.
func TestAttachAgain(t *testing.T) {
	first, second := &frames{}, &packets{}
	l, p := pair(t, rawlink.Config{}, first)
	for range 20 {
		p.send(packettest.TCP{}.Bytes())
		first.take(t, 1)
		leak.Within(t, "Attach(nil)", func() { l.Attach(nil) })
		if l.IsAttached() {
			t.Fatal("attached after Attach(nil)")
		}
		leak.Within(t, "Wait", l.Wait)
		p.send(packettest.TCP{}.Bytes())
		l.Attach(second)
		second.take(t, 1)
		l.Attach(first) // in place
		p.send(packettest.TCP{}.Bytes())
		first.take(t, 1)
	}
	if n := second.len(); n != 0 {
		t.Errorf("%d packets to a dispatcher that was replaced", n)
	}
}

// Attach(nil) and Wait do not wait for a delivery, which may need a lock that
// their caller holds; the next session begins meanwhile. Close does wait.
func TestDetachDuringDelivery(t *testing.T) {
	inside, open := make(chan struct{}), make(chan struct{})
	held := &frames{}
	held.hook = func() { inside <- struct{}{}; <-open }
	l, p := pair(t, rawlink.Config{}, held)
	p.send(packettest.TCP{}.Bytes())
	leak.Done(t, "a delivery", inside)
	leak.Within(t, "Attach(nil)", func() { l.Attach(nil) })
	leak.Within(t, "Wait", l.Wait)
	next := &frames{}
	l.Attach(next)
	p.send(packettest.TCP{}.Bytes())
	next.take(t, 1)
	closed := make(chan struct{})
	go func() { l.Close(); close(closed) }()
	select {
	case <-closed:
		t.Fatal("Close returned during a delivery")
	case <-time.After(20 * time.Millisecond):
	}
	close(open)
	leak.Done(t, "Close", closed)
}

// stops makes a link that reports why it stopped.
type stops struct {
	n   atomic.Int32
	why chan error
}

func newStops() *stops { return &stops{why: make(chan error, 10)} }

func (s *stops) stopped(err error) { s.n.Add(1); s.why <- err }

// When the peer closes, what it sent before is delivered, then the link stops and
// says so, once.
func TestPeerCloses(t *testing.T) {
	s, d := newStops(), &frames{}
	l, p := pair(t, rawlink.Config{Stopped: s.stopped}, d)
	p.send(packettest.TCP{}.Bytes(), packettest.TCP{}.Bytes())
	p.close()
	err := leak.Done(t, "Stopped", s.why)
	if !errors.Is(err, io.EOF) || l.Err() == nil || l.Err().Error() != err.Error() {
		t.Errorf("%v; Err says %v", err, l.Err())
	}
	leak.Within(t, "Wait", l.Wait)
	d.take(t, 2)
	if n, err := send(l, outgoing(packettest.TCP{}, 0, false)); n != 0 || err == nil {
		t.Errorf("sending: %d, %v", n, err)
	}
	if st := l.Stats(); st.DroppedRunt != 0 || st.Received != 2 {
		t.Errorf("%+v", st)
	}
	l.Attach(nil)
	l.Close()
	if n := s.n.Load(); n != 1 {
		t.Errorf("Stopped was called %d times", n)
	}
}

// An empty frame of a peer that lives is no end.
func TestEmptyFrame(t *testing.T) {
	d := &frames{}
	l, p := pair(t, rawlink.Config{}, d)
	for range 3 {
		p.send([]byte{}, packettest.TCP{}.Bytes())
	}
	d.take(t, 3)
	if st := l.Stats(); st.DroppedRunt != 3 || l.Err() != nil {
		t.Errorf("%+v, %v", st, l.Err())
	}
}

// That a SOCK_DGRAM peer has closed shows when something is sent.
func TestDatagramPeerCloses(t *testing.T) {
	fd, p := socketpair(t, unix.SOCK_DGRAM)
	s := newStops()
	var l *rawlink.Link
	closed := make(chan struct{})
	l = open(t, &rawlink.Config{FDs: []int{fd}, Stopped: func(err error) {
		s.stopped(err)
		l.Close() // it is allowed to
		close(closed)
	}})
	l.Attach(&frames{})
	p.close()
	send(l, outgoing(packettest.TCP{}, 0, false))
	if err := leak.Done(t, "Stopped", s.why); !errors.Is(err, unix.ECONNREFUSED) {
		t.Error(err)
	}
	leak.Done(t, "Close", closed)
}

// A half-closed descriptor is no reason to spin.
func TestShutDown(t *testing.T) {
	for _, kind := range []int{unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		fd, _ := socketpair(t, kind)
		s := newStops()
		l := open(t, &rawlink.Config{FDs: []int{fd}, Stopped: s.stopped})
		unix.Shutdown(fd, unix.SHUT_RD)
		l.Attach(&frames{})
		leak.Done(t, "Stopped", s.why)
	}
}

// A descriptor of several that ends, ends the link.
func TestOneOfSeveralCloses(t *testing.T) {
	a, pa := socketpair(t, unix.SOCK_SEQPACKET)
	b, pb := socketpair(t, unix.SOCK_SEQPACKET)
	s, d := newStops(), &frames{}
	l := open(t, &rawlink.Config{FDs: []int{a, b}, Stopped: s.stopped})
	l.Attach(d)
	pa.send(packettest.TCP{}.Bytes())
	pb.send(packettest.TCP{}.Bytes())
	d.take(t, 2)
	pb.close()
	leak.Done(t, "Stopped", s.why)
	leak.Within(t, "Wait", l.Wait)
}

// What New refuses, and says why.
func TestNewRefuses(t *testing.T) {
	stream, _ := socketpair(t, unix.SOCK_STREAM)
	fd, _ := socketpair(t, unix.SOCK_SEQPACKET)
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	null, _ := unix.Open("/dev/null", unix.O_RDWR, 0)
	for name, cfg := range map[string]rawlink.Config{
		"no descriptors":           {},
		"a stream":                 {FDs: []int{stream}},
		"a pipe":                   {FDs: []int{pipe[0]}},
		"another device":           {FDs: []int{null}},
		"a descriptor that is not": {FDs: []int{-1}},
		"half an address":          {FDs: []int{fd}, Ethernet: true, Address: "\x02"},
		"a header of 11 bytes":     {FDs: []int{fd}, VnetHdr: true, VnetHdrLen: 11},
	} {
		if _, err := rawlink.New(&cfg); err == nil {
			t.Errorf("%s: no error", name)
		} else if got := err.Error(); len(got) < 20 || got[:9] != "rawlink: " {
			t.Errorf("%s: %q", name, got)
		} else {
			t.Log(err)
		}
	}
	for _, fd := range []int{stream, fd, pipe[0], pipe[1], null} {
		unix.Close(fd)
	}
}

// Everything at once, under the race detector.
func TestLifeRaces(t *testing.T) {
	for _, kind := range []int{unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		fd, p := socketpair(t, kind)
		second, q := socketpair(t, kind)
		l := open(t, &rawlink.Config{FDs: []int{fd, second}, Stopped: func(error) {}})
		var wg sync.WaitGroup
		var stop atomic.Bool
		forever := func(f func()) {
			wg.Go(func() {
				for !stop.Load() {
					f()
				}
			})
		}
		for _, other := range []*peer{p, q} {
			frame, buf := packettest.TCP{}.Bytes(), make([]byte, 2000)
			forever(func() { unix.Send(other.fd, frame, unix.MSG_DONTWAIT) })
			forever(func() { unix.Recvfrom(other.fd, buf, unix.MSG_DONTWAIT) })
		}
		forever(func() { send(l, outgoing(packettest.TCP{Payload: make([]byte, 9000)}, 1000, false)) })
		forever(func() { l.Attach(&frames{}); l.Attach(&packets{}) })
		forever(func() { l.Attach(nil); l.Wait() })
		forever(func() { l.Stats(); _ = l.Err(); l.SetMTU(1400 + l.MTU()%300); l.IsAttached() })
		time.Sleep(200 * time.Millisecond)
		wg.Go(l.Close)
		wg.Go(l.Close)
		leak.Within(t, "Close", l.Close)
		stop.Store(true)
		leak.Within(t, "the others", wg.Wait)
	}
}
