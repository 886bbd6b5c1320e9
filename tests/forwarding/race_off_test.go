// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package forwarding

const raceDetector = false
