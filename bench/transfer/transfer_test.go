// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestBetweenHosts(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, flows := range []int{1, 3} {
			t.Run(fmt.Sprintf("v6=%v/flows=%d", v6, flows), func(t *testing.T) {
				a, b, _ := pair(t, v6, false)
				const each = 2<<20 + 12345
				r, err := Between(t.Context(), a, b, &Config{Flows: flows, Bytes: each, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				if r.Bytes != int64(flows)*each || r.Gbps() <= 0 {
					t.Errorf("got %d bytes at %v Gbit/s", r.Bytes, r.Gbps())
				}
				got, sent := b.Received(), a.Sent()
				if got.Bytes < uint64(r.Bytes) || sent.Bytes < uint64(r.Bytes) || got.MeanBytes() > 1500 {
					t.Errorf("counted %+v sent, %+v received", sent, got)
				}
			})
		}
	}
}

func TestBetweenForATime(t *testing.T) {
	a, b, _ := pair(t, false, false)
	r, err := Between(t.Context(), a, b, &Config{Duration: 50 * time.Millisecond})
	if err != nil || r.Bytes == 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestKernel(t *testing.T) {
	here := &Kernel{Address: netip.MustParseAddr("127.0.0.1")}
	if runtime.GOOS == "linux" {
		here.CongestionControl = "reno" // always built in
	}
	r, err := Between(t.Context(), here, here, &Config{Flows: 2, Bytes: 3 << 20})
	if err != nil || r.Bytes != 6<<20 {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestKernelCongestionControlUnknown(t *testing.T) {
	k := &Kernel{Address: netip.MustParseAddr("127.0.0.1"), CongestionControl: "none such"}
	ln, err := k.Listen(t.Context(), 0)
	if err == nil {
		ln.Close()
		t.Fatal("no error")
	}
}

func TestDamagedLink(t *testing.T) {
	a, b, link := pair(t, false, true)
	link.armed.Store(true)
	_, err := Between(t.Context(), a, b, &Config{Bytes: 1 << 20})
	var wrong *WrongByteError
	if !errors.As(err, &wrong) || wrong.Got != wrong.Want^1 {
		t.Fatalf("got %v", err)
	}
}

func TestDeadLink(t *testing.T) {
	a, b, link := pair(t, false, true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for b.Received().Packets < 100 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		link.lose.Store(true)
		link.armed.Store(true)
	}()
	_, err := Between(ctx, a, b, &Config{Duration: time.Minute, Stall: 200 * time.Millisecond})
	if !errors.Is(err, ErrStalled) || !strings.HasPrefix(err.Error(), "transfer: ") {
		t.Fatalf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	a, b, _ := pair(t, false, false)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(30*time.Millisecond, func() { cancel(reason) })
	if _, err := Between(ctx, a, b, &Config{Duration: time.Minute}); !errors.Is(err, reason) {
		t.Fatalf("got %v", err)
	}
}

func TestLimit(t *testing.T) {
	a, b, _ := pair(t, false, false)
	cfg := &Config{Duration: time.Minute, Limit: 50 * time.Millisecond}
	if _, err := Between(t.Context(), a, b, cfg); !errors.Is(err, context.DeadlineExceeded) &&
		(err == nil || !strings.Contains(err.Error(), "not finished within 50ms")) {
		t.Fatalf("got %v", err)
	}
}

func TestNobodyComes(t *testing.T) {
	_, b, _ := pair(t, false, false)
	ln, err := b.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := ReceiveAll(t.Context(), ln, &Config{Limit: 20 * time.Millisecond}); err == nil {
		t.Fatal("no error")
	}
}

// half is a pipe whose reading end is spoiled: rewrite may change what is read
// from position pos on.
type half struct {
	net.Conn
	pos     int64
	rewrite func(pos int64, b []byte) int
}

func (h *half) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 && h.rewrite != nil {
		at := h.pos
		h.pos += int64(n)
		n = h.rewrite(at, b[:n])
	}
	return n, err
}

func TestReceiverFindsDamage(t *testing.T) {
	const size, greeting = 300_000, greetingLen
	for _, at := range []int64{0, 1, 1023, 1024, 65535, 65536, 131072, size - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			sendErr, receiveErr := overLoopback(t, size, func(pos int64, b []byte) int {
				if i := greeting + at - pos; i >= 0 && i < int64(len(b)) {
					b[i] ^= 0x80
				}
				return len(b)
			})
			for _, err := range []error{sendErr, receiveErr} {
				var wrong *WrongByteError
				if errors.As(err, &wrong) && (wrong.Offset != at || wrong.Flow != 5) {
					t.Errorf("found %v", wrong)
				}
			}
			var wrong *WrongByteError
			if !errors.As(receiveErr, &wrong) || sendErr == nil {
				t.Errorf("sender: %v; receiver: %v", sendErr, receiveErr)
			}
		})
	}
}

func TestLostTail(t *testing.T) {
	const size = 100_000
	sendErr, _ := overLoopback(t, size, func(pos int64, b []byte) int {
		return int(max(0, min(int64(len(b)), greetingLen+size-1-pos)))
	})
	if sendErr == nil || !strings.Contains(sendErr.Error(), "100000 bytes were sent and 99999 arrived") {
		t.Errorf("sender: %v", sendErr)
	}
}

// overLoopback sends flow 5 over a kernel connection whose reading end is spoiled.
func overLoopback(t *testing.T, size int64, rewrite func(int64, []byte) int) (sendErr, receiveErr error) {
	t.Helper()
	k := &Kernel{Address: netip.MustParseAddr("127.0.0.1")}
	ln, err := k.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			_, _, err = Receive(t.Context(), &half{Conn: conn, rewrite: rewrite}, nil)
		}
		done <- err
	}()
	conn, err := k.Dial(t.Context(), ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, sendErr = Send(t.Context(), conn, 5, &Config{Bytes: size})
	return sendErr, <-done
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("transfer", func(t *testing.T) {
		a, b, _ := pair(t, false, false)
		if _, err := Between(t.Context(), a, b, &Config{Flows: 4, Bytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	})
	// netstack's own goroutines end a little later than Destroy returns.
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
}

func TestCPUTime(t *testing.T) {
	a, ok := CPUTime()
	if !ok {
		t.Skip("this system does not tell")
	}
	p := newPattern(1, 1)
	for got := bytes.Clone(p.at(0)); len(got) > 0; got = got[16:] {
		p.check(0, got)
	}
	if b, _ := CPUTime(); b < a || b == 0 {
		t.Errorf("went from %v to %v", a, b)
	}
}

func TestSteady(t *testing.T) {
	cfg := &Config{Duration: time.Second}
	for _, c := range []struct{ r, want Result }{
		{Result{Bytes: 90, InTime: 50, Elapsed: 3 * time.Second}, Result{Bytes: 50, InTime: 50, Elapsed: time.Second}},
		{Result{Bytes: 50, InTime: 50, Elapsed: time.Millisecond}, Result{Bytes: 50, InTime: 50, Elapsed: time.Millisecond}},
		{Result{Bytes: 90, Elapsed: 3 * time.Second}, Result{Bytes: 90, Elapsed: 3 * time.Second}},
	} {
		if got := c.r.Steady(cfg); got != c.want {
			t.Errorf("%+v became %+v, want %+v", c.r, got, c.want)
		}
	}
}
