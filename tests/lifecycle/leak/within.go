// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package leak

import (
	"os"
	"runtime/pprof"
	"testing"
	"time"
)

// Limit is how long anything may take that ought to end by itself. It is
// generous: only a deadlock comes near it.
const Limit = 60 * time.Second

// Within runs f and fails t at once if it has not returned within Limit. The
// stacks of all goroutines then tell who waits for whom. f may not call
// t.FailNow.
func Within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	Done(t, what, done)
}

// Done waits for a channel to be closed, or to give something, as Within does.
func Done[T any](t testing.TB, what string, done <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(Limit)
	defer timer.Stop()
	select {
	case v = <-done:
	case <-timer.C:
		hang(t, what)
	}
	return v
}

// Until waits until cond holds, as Within does.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(Limit)
	for !cond() {
		if time.Now().After(end) {
			hang(t, what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func hang(t testing.TB, what string) {
	t.Helper()
	pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	t.Fatalf("%s: not done within %v; all goroutines are above", what, Limit)
}
