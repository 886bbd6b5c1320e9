// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// The greeting names the flow, so that the receiver knows which data to expect
// whatever the order in which it accepts; the report tells the sender how it went.
//
//	greeting: magic (8), flow (8)
//	report:   magic (8), right bytes (8), 0 or 1 + got<<8 + want<<16 (8)
const (
	magic       = 0x6f66666c6f616431 // "offload1"
	greetingLen = 16
	reportLen   = 24
)

// Send writes flow number flow of cfg to conn, ends it with CloseWrite, which conn
// must have, and waits until the receiver has reported that every byte was
// right. Of cfg.Flows it takes no notice. conn stays the caller's to close; after
// a failure its deadline may lie in the past. The error is or wraps ErrStalled, a
// *WrongByteError, the cause of ctx, or conn's own error. Safe for concurrent use
// with different connections.
func Send(ctx context.Context, conn net.Conn, flow int, cfg *Config) (Result, error) {
	s := &sender{conn: conn, flow: flow, cfg: cfg.orDefault()}
	ctx, cancel := s.cfg.bound(ctx)
	defer cancel()
	s.watch = newWatch(ctx, conn, s.cfg.Stall)
	r, err := s.send()
	if err := s.watch.stop(err); err != nil {
		return r, describe(flow, "sending", err)
	}
	return r, nil
}

type sender struct {
	conn  net.Conn
	flow  int
	cfg   Config
	watch *watch
}

func (s *sender) send() (Result, error) {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok {
		return Result{}, fmt.Errorf("a %T has no CloseWrite", s.conn)
	}
	greeting := binary.BigEndian.AppendUint64(nil, magic)
	greeting = binary.BigEndian.AppendUint64(greeting, uint64(s.flow))
	if _, err := s.conn.Write(greeting); err != nil {
		return Result{}, err
	}
	r := Result{first: time.Now()}
	sent, err := s.write(r.first.Add(s.cfg.Duration))
	if err != nil {
		return r, err
	}
	if err := half.CloseWrite(); err != nil {
		return r, err
	}
	r.Bytes, err = s.readReport(sent)
	r.last = time.Now()
	r.Elapsed = r.last.Sub(r.first)
	return r, err
}

// write writes blocks until cfg.Bytes are written or, where that is zero, until
// the time has come, one block at least.
func (s *sender) write(until time.Time) (int64, error) {
	data := newPattern(s.cfg.Seed, s.flow)
	var sent int64
	for n := int64(0); ; n++ {
		block := data.at(n)
		if s.cfg.Bytes > 0 {
			block = block[:min(int64(len(block)), s.cfg.Bytes-sent)]
			if len(block) == 0 {
				return sent, nil
			}
		} else if n > 0 && !time.Now().Before(until) {
			return sent, nil
		}
		k, err := s.conn.Write(block)
		sent += int64(k)
		s.watch.moved.Store(sent)
		if err != nil {
			return sent, err
		}
	}
}

func (s *sender) readReport(sent int64) (int64, error) {
	// What is still buffered may take longer than cfg.Stall to drain over a slow
	// link, unseen from here. The receiver sees a stall; here only Limit counts.
	s.watch.patient.Store(true)
	b := make([]byte, reportLen)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return 0, fmt.Errorf("no report from the receiver: %w", err)
	}
	right, verdict := int64(binary.BigEndian.Uint64(b[8:])), binary.BigEndian.Uint64(b[16:])
	switch {
	case binary.BigEndian.Uint64(b) != magic:
		return 0, fmt.Errorf("what came back is no report")
	case verdict != 0:
		return right, &WrongByteError{Flow: s.flow, Offset: right, Got: byte(verdict >> 8), Want: byte(verdict >> 16)}
	case right != sent:
		return right, fmt.Errorf("%d bytes were sent and %d arrived", sent, right)
	}
	return right, nil
}

// bound is ctx with the transfer's limit.
func (c *Config) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("not finished within %v", c.Limit))
}

func describe(flow int, what string, err error) error {
	if _, ok := err.(*WrongByteError); ok {
		return err
	}
	return fmt.Errorf("transfer: flow %d: %s: %w", flow, what, err)
}
