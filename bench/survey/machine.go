// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// machine says where this runs.
func machine() result.Machine {
	m := result.Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Memory: -1, OS: runtime.GOOS, Go: runtime.Version()}
	describe(&m)
	if info, ok := debug.ReadBuildInfo(); ok {
		build(&m, info)
	}
	if m.Commit == "" {
		m.Commit = checkedOut()
	}
	return m
}

// checkedOut asks git for the commit that this file is of: go run stamps none.
func checkedOut() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return ""
	}
	git := exec.Command("git", "--no-optional-locks", "describe", "--always", "--dirty=, modified", "--exclude=*", "--abbrev=40")
	git.Dir = filepath.Dir(file)
	out, err := git.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// build takes what the build knows: versions, and the commit where it was stamped.
func build(m *result.Machine, info *debug.BuildInfo) {
	for _, d := range info.Deps {
		if d.Path == "gvisor.dev/gvisor" {
			m.GVisor = d.Version
		}
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			m.Commit = s.Value + m.Commit
		case s.Key == "vcs.modified" && s.Value == "true":
			m.Commit += ", modified"
		}
	}
}
