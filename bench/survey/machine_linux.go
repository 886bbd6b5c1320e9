// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// describe asks Linux.
func describe(m *result.Machine) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.OS = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		m.CPU = model
	}
	kB, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseInt(kB, 10, 64); err == nil {
		m.Memory = n << 10
	}
}

// field returns the value of the first line "name: value" of a file.
func field(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
