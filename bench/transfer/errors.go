// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"fmt"
)

// ErrStalled is in the error of a transfer that stopped moving.
var ErrStalled = errors.New("no data moved")

// A WrongByteError says that what arrived is not what was sent. Both ends return
// one: the receiver found the byte, the sender was told of it.
type WrongByteError struct {
	Flow      int   // counted from 0
	Offset    int64 // position of the first wrong byte in its flow
	Got, Want byte
}

func (e *WrongByteError) Error() string {
	return fmt.Sprintf("transfer: flow %d: byte %d is %#02x and should be %#02x", e.Flow, e.Offset, e.Got, e.Want)
}

// worse returns the error that says more about what went wrong. When one end
// fails the other does too, and its error is only the echo: of equals the first stays.
func worse(a, b error) error {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(err error) int {
	var wrong *WrongByteError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return 3
	case errors.Is(err, ErrStalled):
		return 2
	}
	return 1
}
