// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"flag"
	"os"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// TestMain looks for leaks after tests, and only then: gVisor's book of references
// would be measured with everything else.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(m.Run())
	}
	leak.Main(m)
}
