// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package profile is the -cpuprofile flag of this project's commands.
package profile

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// CPU starts a CPU profile of this process into a file, and returns what ends it. An
// empty name is no profile. There can be one at a time; errors name the flag.
func CPU(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
