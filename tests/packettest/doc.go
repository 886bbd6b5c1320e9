// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package packettest builds packets for tests and says where two differ.
//
// It imports none of the packages under test and computes checksums with a loop
// of its own, so that a mistake of theirs cannot hide in it. The zero value of
// each builder is a valid packet: set what a test is about.
//
// # When not to use it
//
// Outside tests: builders allocate, and panic where a test asks for nonsense.
package packettest
