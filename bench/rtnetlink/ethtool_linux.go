// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OffloadsOff makes a device send and receive what a plain wire would carry. Left on,
// the kernel passes packets of 64 KiB with half a checksum through a veth pair.
func OffloadsOff(device string) error {
	for _, feature := range []struct {
		name    string
		command uint32
	}{
		{"tso", unix.ETHTOOL_STSO},
		{"gso", unix.ETHTOOL_SGSO},
		{"gro", unix.ETHTOOL_SGRO},
		{"tx", unix.ETHTOOL_STXCSUM},
	} {
		if _, err := Ethtool(device, feature.command, 0); err != nil {
			return fmt.Errorf("turning off %s: %w", feature.name, err)
		}
	}
	return nil
}

// Ethtool carries out an ETHTOOL_S command with a value, or an ETHTOOL_G command, and
// returns the value after.
func Ethtool(device string, command, value uint32) (uint32, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	request := struct{ command, value uint32 }{command, value} // struct ethtool_value
	ifr := struct {                                            // struct ifreq, with room for any member of its union
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24]byte
	}{data: unsafe.Pointer(&request)}
	copy(ifr.name[:unix.IFNAMSIZ-1], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		return 0, fmt.Errorf("%s: ethtool %#x: %w", device, command, errno)
	}
	return request.value, nil
}
