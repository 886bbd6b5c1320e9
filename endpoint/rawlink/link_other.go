// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rawlink

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

var errNotLinux = errors.New("rawlink: only Linux has these descriptors: use package memlink here")

// Link is the link. There is none but on Linux.
type Link struct {
	stack.LinkEndpoint
	stack.GSOEndpoint
}

// New returns an error: rawlink needs Linux.
func New(*Config) (*Link, error) { return nil, errNotLinux }

// Stats returns a snapshot.
func (*Link) Stats() Stats { return Stats{} }

// Offloads returns what the device has granted.
func (*Link) Offloads() Offloads { return 0 }

// Err says why the link has stopped by itself.
func (*Link) Err() error { return errNotLinux }

// OpenTUN returns an error: rawlink needs Linux.
func OpenTUN(string, *OpenOptions) (*Config, error) { return nil, errNotLinux }

// OpenTAP returns an error: rawlink needs Linux.
func OpenTAP(string, *OpenOptions) (*Config, error) { return nil, errNotLinux }

// OpenPacket returns an error: rawlink needs Linux.
func OpenPacket(string, *OpenOptions) (*Config, error) { return nil, errNotLinux }
