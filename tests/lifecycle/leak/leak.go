// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package leak finds what a test leaves behind: goroutines of this module or of
// netstack, and references to packets. It also ends tests that hang.
//
// # When not to use it
//
// In tests that run in parallel with others of their package: what is alive is
// counted for the whole process.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/refs"
)

// patience is how long what a test has closed may take to end: netstack's own
// goroutines and timers end a little later than Stack.Destroy returns.
const patience = 10 * time.Second

// ours are the import paths whose goroutines must not outlive a test.
var ours = []string{
	"github.com/netstack-offload/netstack-offload/",
	"gvisor.dev/gvisor/pkg/tcpip",
}

// Main is what a package's TestMain calls: it runs the tests with gVisor's check
// for leaked references, and fails if a reference or a goroutine is left at the
// end. It does not return.
func Main(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if left := await(); left != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "leak: after all tests:", left)
		code = 1
	}
	os.Exit(code)
}

// Check fails t if, after all its later cleanups, references or goroutines are
// left that were not there before. Call it first in a test.
func Check(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			return // what is left has its reason there
		}
		if left := await(); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
}

// await waits until nothing is left and otherwise says what.
func await() string {
	var left string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if left = leftover(); left == "" {
			return ""
		}
	}
	return left
}

func leftover() string {
	if g := Goroutines(ours...); len(g) > 0 {
		return fmt.Sprintf("%d goroutines:\n%s", len(g), strings.Join(g, "\n\n"))
	}
	return References()
}

// References says what references to packets, addresses and the like are held,
// or "". It needs Main.
func References() (message string) {
	defer func() {
		if p := recover(); p != nil {
			message = fmt.Sprint(p)
		}
	}()
	refs.DoRepeatedLeakCheck()
	return ""
}

// Goroutines returns the stacks of all goroutines but the caller's, and those
// that run tests, in which one of the words occurs.
func Goroutines(words ...string) []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i == 0 || strings.Contains(g, "testing.(*T).Run(") || strings.Contains(g, "testing.(*M).Run(") ||
			strings.Contains(g, "testing.tRunner(") || strings.Contains(g, "testing.(*F).Fuzz") {
			continue
		}
		for _, w := range words {
			if strings.Contains(g, w) {
				found = append(found, g)
				break
			}
		}
	}
	return found
}
