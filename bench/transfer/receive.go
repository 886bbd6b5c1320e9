// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Receive reads what Send writes to the other end of conn, compares every byte
// with what belongs there, and reports to the sender. Which flow it is it learns
// from the sender; flow is that number, -1 if it was never learnt. It stops at the
// first wrong byte. conn stays the caller's to close; after a failure its deadline
// may lie in the past. The errors are those of Send. Safe for concurrent use with
// different connections.
//
// Receive cannot know how much was sent (unless cfg.Bytes says so): that the end
// of the data is missing is for the sender to find.
func Receive(ctx context.Context, conn net.Conn, cfg *Config) (flow int, r Result, err error) {
	d := &receiver{conn: conn, flow: -1, cfg: cfg.orDefault()}
	ctx, cancel := d.cfg.bound(ctx)
	defer cancel()
	d.watch = newWatch(ctx, conn, d.cfg.Stall)
	r, err = d.receive()
	if err := d.watch.stop(err); err != nil {
		return d.flow, r, describe(d.flow, "receiving", err)
	}
	return d.flow, r, nil
}

type receiver struct {
	conn  net.Conn
	flow  int
	cfg   Config
	watch *watch
}

func (d *receiver) receive() (Result, error) {
	if err := d.greeting(); err != nil {
		return Result{}, err
	}
	r := Result{first: time.Now()}
	right, inTime, err := d.read(r.first.Add(d.cfg.Duration))
	r.last = time.Now()
	r.Bytes, r.InTime, r.Elapsed = right, inTime, r.last.Sub(r.first)
	var wrong *WrongByteError
	if err != nil && !errors.As(err, &wrong) {
		return r, err
	}
	if reportErr := d.report(right, wrong); err == nil {
		err = reportErr
	}
	if err == nil && d.cfg.Bytes > 0 && right != d.cfg.Bytes {
		err = fmt.Errorf("%d of %d bytes arrived", right, d.cfg.Bytes)
	}
	return r, err
}

func (d *receiver) greeting() error {
	b := make([]byte, greetingLen)
	if _, err := io.ReadFull(d.conn, b); err != nil {
		return fmt.Errorf("no greeting from the sender: %w", err)
	}
	flow := binary.BigEndian.Uint64(b[8:])
	if binary.BigEndian.Uint64(b) != magic || flow > 1<<20 {
		return fmt.Errorf("what came first is no greeting")
	}
	d.flow = int(flow)
	return nil
}

// read reads to the end of the data and says how many bytes were right, and how many
// of them there were by a time.
func (d *receiver) read(by time.Time) (right, inTime int64, err error) {
	data := newPattern(d.cfg.Seed, d.flow)
	buf := make([]byte, 2*blockSize)
	for {
		n, err := d.conn.Read(buf)
		if i, want := data.check(right, buf[:n]); i >= 0 {
			at := right + int64(i)
			return at, inTime, &WrongByteError{Flow: d.flow, Offset: at, Got: buf[i], Want: want}
		}
		right += int64(n)
		d.watch.moved.Store(right)
		if time.Now().Before(by) {
			inTime = right
		}
		if err == io.EOF {
			return right, inTime, nil
		}
		if err != nil {
			return right, inTime, err
		}
	}
}

func (d *receiver) report(right int64, wrong *WrongByteError) error {
	var verdict uint64
	if wrong != nil {
		verdict = 1 | uint64(wrong.Got)<<8 | uint64(wrong.Want)<<16
	}
	b := binary.BigEndian.AppendUint64(nil, magic)
	b = binary.BigEndian.AppendUint64(b, uint64(right))
	b = binary.BigEndian.AppendUint64(b, verdict)
	_, err := d.conn.Write(b)
	return err
}
