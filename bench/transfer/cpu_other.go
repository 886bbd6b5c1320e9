// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package transfer

import "time"

// CPUTime is the CPU time, user and system, that this process has used, children
// not counted; ok is false where the system does not tell.
func CPUTime() (t time.Duration, ok bool) { return 0, false }
