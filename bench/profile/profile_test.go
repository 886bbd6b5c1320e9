// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCPU(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cpu")
	stop, err := CPU(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]string{"second": name + "2", "unwritable": "/nonesuch/cpu"} {
		if _, err := CPU(other); err == nil || !strings.HasPrefix(err.Error(), "-cpuprofile: ") {
			t.Errorf("%s profile: %v", what, err)
		}
	}
	stop()
	if info, err := os.Stat(name); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if stop, err := CPU(""); err != nil {
		t.Error(err)
	} else {
		stop()
	}
}
