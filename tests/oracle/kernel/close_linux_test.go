// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

var opens = []func() (io.Closer, error){
	func() (io.Closer, error) { return OpenGRO() },
	func() (io.Closer, error) { return OpenResplit() },
	func() (io.Closer, error) { return OpenGSO() },
}

// Closing leaves no descriptor, no goroutine and no thread in another namespace.
func TestClose(t *testing.T) {
	descriptors, goroutines := 0, 0
	for i := range 5 {
		t.Run("", func(t *testing.T) {
			for _, open := range opens {
				opened(t, open)
			}
			if n := elsewhere(t); n != len(opens) {
				t.Errorf("%d threads in other namespaces, want %d", n, len(opens))
			}
		})
		if n := elsewhere(t); n != 0 {
			t.Errorf("%d threads are left in other namespaces", n)
		}
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // from here on: the first may have opened the runtime's own
			descriptors, goroutines = len(files), runtime.NumGoroutine()
		}
		// A thread that got no namespace ends by itself.
		for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if len(files) > descriptors || runtime.NumGoroutine() > goroutines {
			t.Errorf("%d descriptors and %d goroutines, at first %d and %d", len(files), runtime.NumGoroutine(), descriptors, goroutines)
		}
	}
}

// elsewhere counts threads that are not in the process's network namespace.
func elsewhere(t *testing.T) (n int) {
	t.Helper()
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink(task); err == nil && ns != home {
			n++
		}
	}
	return n
}
