// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package links

import (
	"context"
	"runtime"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// PlayRole says that this process has no other role than its own.
func PlayRole() (code int, ok bool) { return 0, false }

// Lab measures between the kernel and netstack, which needs Linux.
type Lab struct {
	CongestionControl string
}

// Open returns an *UnavailableError.
func Open(context.Context) (*Lab, error) {
	return nil, &UnavailableError{"a TUN and veth to measure over need Linux, and this is " + runtime.GOOS}
}

var errUnavailable = &UnavailableError{"this is not Linux"}

// Probe returns an error.
func (*Lab) Probe(*Run) error { return errUnavailable }

// Run returns an error.
func (*Lab) Run(*Run) (result.Sample, error) { return result.Sample{}, errUnavailable }

// StartProfile returns an error.
func (*Lab) StartProfile(string) error { return errUnavailable }

// StopProfile returns an error.
func (*Lab) StopProfile() error { return errUnavailable }

// Close does nothing.
func (*Lab) Close() {}

func machineCPU() (t time.Duration, ok bool) { return 0, false }
