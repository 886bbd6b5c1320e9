// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/stat, USER_HZ, which is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// machineCPU is the CPU time that the machine has used, whoever for.
func machineCPU() (t time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return busy(string(b))
}

// busy adds up the first line of /proc/stat: user, nice, system, irq and softirq, but
// not idle, iowait, what other machines of the host took (steal), and guests, which
// user and nice contain.
func busy(stat string) (t time.Duration, ok bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, false
	}
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		t += time.Duration(n) * tick
	}
	return t, true
}
