// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package transfer

import (
	"syscall"
	"time"
)

// CPUTime is the CPU time, user and system, that this process has used, children
// not counted; ok is false where the system does not tell. The difference of two
// readings is what the work between them cost, all goroutines together.
func CPUTime() (t time.Duration, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
