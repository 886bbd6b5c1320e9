// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kernel

import "fmt"

var errNotLinux = fmt.Errorf("kernel: not Linux: %w", ErrPrivilege)

// Release is 0, 0 on systems other than Linux.
func Release() (major, minor int) { return 0, 0 }

// GRO cannot be opened on this system.
type GRO struct{}

func OpenGRO() (*GRO, error)                         { return nil, errNotLinux }
func (g *GRO) Merge(burst [][]byte) ([]Frame, error) { return nil, errNotLinux }
func (g *GRO) Retries() int                          { return 0 }
func (g *GRO) Close() error                          { return nil }

// Resplit cannot be opened on this system.
type Resplit struct{}

func OpenResplit() (*Resplit, error)                        { return nil, errNotLinux }
func (r *Resplit) Through(burst [][]byte) ([][]byte, error) { return nil, errNotLinux }
func (r *Resplit) Retries() int                             { return 0 }
func (r *Resplit) Close() error                             { return nil }

// GSO cannot be opened on this system.
type GSO struct{}

func OpenGSO() (*GSO, error)                   { return nil, errNotLinux }
func (g *GSO) Split(f Frame) ([][]byte, error) { return nil, errNotLinux }
func (g *GSO) Close() error                    { return nil }
