// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package endpoint_test

// raceEnabled: the race detector allocates where the program does not.
const raceEnabled = false
