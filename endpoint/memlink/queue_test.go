// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// reserve is what packets without GSO options may use beyond the bound.
const reserve = 64

// Packets without GSO options never wait, have a reserve, and are dropped beyond
// it. (If they waited this would take an hour.)
func TestFullWithoutGSO(t *testing.T) {
	l, _ := newLink(t, &memlink.Config{QueuePackets: 10})
	const n = 40000
	leak.Within(t, "WritePackets", func() {
		queued := 0
		for range n {
			k, err := send(l, raw(datagram("x").Bytes()))
			if err != nil {
				t.Error(err)
			}
			queued += k
		}
		if queued != 10+reserve {
			t.Errorf("%d packets queued, want 10 and %d in reserve", queued, reserve)
		}
	})
	if s := l.Stats(); s.Queued != 10+reserve || s.DroppedFull != n-10-reserve {
		t.Errorf("counted %+v", s)
	}
}

func ack() packettest.TCP { return packettest.TCP{Seq: 1} }

// TCP with GSO options has no share in the reserve. Nobody reads, so the first
// that finds the queue full waits, and then the link is stalled: if each waited,
// this would take an hour.
func TestStalled(t *testing.T) {
	l, _ := newLink(t, &memlink.Config{QueuePackets: 10})
	const n = 40000
	queued := 0
	leak.Within(t, "WritePackets", func() {
		for range n {
			k, _ := send(l, packet(ack(), 1448))
			queued += k
		}
	})
	if s := l.Stats(); queued != 10 || s.Queued != 10 || s.DroppedFull != n-10 {
		t.Errorf("%d packets queued, counted %+v", queued, s)
	}
	if k, _ := send(l, raw(datagram("x").Bytes())); k != 1 {
		t.Error("no reserve left when stalled")
	}
}

// A sender that finds the queue full waits for a Read and is queued then.
func TestFullWaitsForRead(t *testing.T) {
	atLeastOnce(t, func(l *memlink.Link) bool { return waits(t, l) })
}

// A Read that is still busy with the packet before is a Read too: it ends the
// stall, and the next sender waits again.
func TestAnyReadEndsTheStall(t *testing.T) {
	atLeastOnce(t, func(l *memlink.Link) bool {
		stall(t, l)
		read(l, 1, 1500) // the second segment
		return waits(t, l)
	})
}

// atLeastOnce tries f on links with a full queue whose oldest packet, of four
// segments, has been begun. Should the machine stand still for 100 ms just then,
// the link stalls with every right: so it tries again.
func atLeastOnce(t *testing.T, f func(*memlink.Link) bool) {
	t.Helper()
	leak.Check(t)
	for range 5 {
		l := memlink.New(&memlink.Config{QueuePackets: 3})
		defer l.Close()
		l.Attach(new(sink))
		send(l, packet(packettest.TCP{Payload: packettest.Stream(0, 4*1448)}, 1448))
		read(l, 1, 1500)
		for range 3 {
			send(l, packet(ack(), 1448))
		}
		if f(l) {
			return
		}
	}
	t.Error("a packet was dropped at once, although the link was being read")
}

// stall lets one sender wait in vain.
func stall(t *testing.T, l *memlink.Link) {
	t.Helper()
	leak.Within(t, "WritePackets without a reader", func() {
		if k, _ := send(l, packet(ack(), 1448)); k != 0 {
			t.Error("queued beyond the bound")
		}
	})
}

// waits reports whether a sender waits rather than drops, and is queued by a Read.
func waits(t *testing.T, l *memlink.Link) bool {
	t.Helper()
	result := make(chan int, 1)
	go func() {
		k, _ := send(l, packet(ack(), 1448))
		result <- k
	}()
	select {
	case <-result:
		return false
	case <-time.After(20 * time.Millisecond):
	}
	for l.Stats().Read < 5 { // the begun packet, and one more
		if _, err := read(l, 1, 1500); err != nil {
			t.Fatal(err)
		}
	}
	return leak.Done(t, "WritePackets", result) == 1
}

// The bound on bytes holds for what is queued, but an empty queue takes any
// packet.
func TestBytesBound(t *testing.T) {
	l, _ := newLink(t, &memlink.Config{QueueBytes: 1000})
	big := packettest.TCP{Payload: packettest.Stream(0, 60000)}
	if k, _ := send(l, packet(big, 1448)); k != 1 {
		t.Fatal("an empty queue refused a packet")
	}
	leak.Within(t, "WritePackets", func() {
		if k, _ := send(l, packet(ack(), 1448)); k != 0 {
			t.Error("queued beyond the bound of bytes")
		}
	})
	// 1000 and 128 KiB in reserve, less 60040 in the queue, hold 47 of 1500.
	n := 0
	for range 100 {
		k, _ := send(l, raw(datagram(string(make([]byte, 1472))).Bytes()))
		n += k
	}
	if n != 48 {
		t.Errorf("%d datagrams in the reserve of bytes", n)
	}
}

// A list that does not fit whole is taken in part, and the rest counted.
func TestListInPart(t *testing.T) {
	l, _ := newLink(t, &memlink.Config{QueuePackets: 3})
	leak.Within(t, "WritePackets", func() {
		if k, err := send(l, packet(ack(), 1), packet(ack(), 1), packet(ack(), 1), packet(ack(), 1), packet(ack(), 1)); k != 3 || err != nil {
			t.Errorf("WritePackets gave %d, %v", k, err)
		}
	})
	if s := l.Stats(); s.DroppedFull != 2 {
		t.Errorf("counted %+v", s)
	}
}

// Close and Attach(nil) wake senders that wait for room. Only whether they
// return is seen here, since the wait is bounded anyway.
func TestWakeSenders(t *testing.T) {
	for name, end := range map[string]func(*memlink.Link){
		"Close": (*memlink.Link).Close, "Attach": func(l *memlink.Link) { l.Attach(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLink(t, &memlink.Config{QueuePackets: 1})
			send(l, packet(ack(), 1))
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { send(l, packet(ack(), 1)) })
			}
			leak.Until(t, "a sender that waits", func() bool {
				return len(leak.Goroutines("gate.(*Gate).Wait")) > 0 || l.Stats().DroppedFull > 0
			})
			end(l)
			leak.Within(t, "WritePackets", wg.Wait)
		})
	}
}

// Many senders and one reader: nothing is lost that WritePackets says is queued,
// and each sender's packets stay in order.
func TestManySenders(t *testing.T) {
	l, _ := newLink(t, &memlink.Config{QueuePackets: 4})
	const senders, each = 4, 300
	var wg sync.WaitGroup
	var mu sync.Mutex
	queued := 0
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				k, err := send(l, packet(packettest.TCP{SrcPort: uint16(s + 1), Seq: uint32(i)}, 1448))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				queued += k
				mu.Unlock()
			}
		})
	}
	reader := make(chan map[byte]int)
	go func() {
		last, got := map[byte]int{}, map[byte]int{}
		for {
			pkts, err := read(l, 8, 1500)
			if err != nil {
				reader <- got
				return
			}
			for _, p := range pkts {
				port, seq := p[21], int(p[26])<<8|int(p[27])
				if seq < last[port] {
					t.Errorf("sender %d: packet %d after %d", port, seq, last[port])
				}
				last[port] = seq
				got[port]++
			}
		}
	}()
	leak.Within(t, "WritePackets", wg.Wait)
	leak.Until(t, "an empty queue", func() bool { return l.Stats().Read == uint64(queued) })
	l.Close()
	total := 0
	for _, n := range leak.Done(t, "Read", reader) {
		total += n
	}
	if total != queued || queued < senders*each/2 {
		t.Errorf("%d packets read, %d of %d queued", total, queued, senders*each)
	}
	var closed tcpip.Error = &tcpip.ErrClosedForSend{}
	if _, err := send(l, packet(ack(), 1)); err == nil || err.String() != closed.String() {
		t.Errorf("WritePackets after Close: %v", err)
	}
}
