// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"io"
	"runtime"
)

// playRole says that this process has no other role than the demo's own.
func playRole() (code int, ok bool) { return 0, false }

func measureKernel(context.Context, *options, io.Writer) (*report, error) {
	return nil, &unavailableError{"the demo's TUN and veth need Linux, and this is " + runtime.GOOS}
}
