// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package survey

import "github.com/netstack-offload/netstack-offload/bench/result"

func describe(*result.Machine) {}
