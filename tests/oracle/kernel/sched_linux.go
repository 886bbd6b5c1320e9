// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The writer's priority is above the kernel thread's, and that is above everyone
// else's, so that load on the machine delays a poll but cannot begin it early.
const (
	pollPriority   = 1
	writerPriority = 2
)

// pin ties a thread to a CPU under SCHED_FIFO. The thread 0 is the calling one.
func pin(tid, cpu int, priority uint32) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &one); err != nil {
		return failure("pinning a thread", err)
	}
	attr := unix.SchedAttr{Policy: unix.SCHED_FIFO, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: priority}
	attr.Size = uint32(unsafe.Sizeof(attr))
	return failure("SCHED_FIFO", unix.SchedSetAttr(tid, &attr, 0))
}

// aCPU is one that the calling thread may use, chosen by n.
func aCPU(n int) (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, failure("asking for the CPUs", err)
	}
	n %= max(1, set.Count())
	for cpu := range 8 * int(unsafe.Sizeof(set)) {
		if set.IsSet(cpu) {
			if n == 0 {
				return cpu, nil
			}
			n--
		}
	}
	return 0, errors.New("kernel: no CPU to use")
}

// pollThread finds the kernel thread that polls a device. It is named after the device
// and sees all namespaces, so the device's name must be unique in all of them.
func pollThread(device string) (int, error) {
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, comm := range comms {
		name, err := os.ReadFile(comm)
		if err == nil && strings.HasPrefix(string(name), "napi/"+device+"-") {
			return strconv.Atoi(filepath.Base(filepath.Dir(comm)))
		}
	}
	return 0, fmt.Errorf("kernel: no thread in /proc polls %s: %w", device, ErrPrivilege)
}

// switches counts how often the calling thread has left its CPU.
func switches() (int64, error) {
	var use unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &use)
	return int64(use.Nvcsw) + int64(use.Nivcsw), err
}
