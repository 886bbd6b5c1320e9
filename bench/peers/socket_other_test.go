// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package peers

// socketSides: fdbased and rawlink are for Linux.
func socketSides() []side { return nil }
