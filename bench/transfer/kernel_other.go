// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package transfer

import (
	"errors"
	"net"
)

func setCongestionControl(uintptr, string) error { return errors.ErrUnsupported }

func newKernelConn(conn net.Conn) (net.Conn, error) { return conn, nil }
