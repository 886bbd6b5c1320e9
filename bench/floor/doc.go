// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package floor measures what no link can do without, alone: the memory passes over
// the bytes of a batch, and the system calls that bring packets from the kernel and
// take them there. What a link costs beyond is its own doing and netstack's.
//
//	go test -run '^$' -bench . ./bench/floor
//
// Its metric s/GB, seconds per 10^9 bytes of TCP payload, is that of every other
// table here, and adds up with them.
package floor
