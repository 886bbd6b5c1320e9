// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
