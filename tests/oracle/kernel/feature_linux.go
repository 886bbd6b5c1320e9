// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	setFeatures   = 4  // ETH_SS_FEATURES, of linux/ethtool.h
	featureLength = 32 // ETH_GSTRING_LEN
)

// enable turns on a feature that has no ethtool command of its own: its number is
// where its name is in the kernel's list.
func (c control) enable(device, feature string) error {
	// struct ethtool_sset_info: command, reserved, mask of sets, their lengths
	info := make([]byte, 20)
	binary.NativeEndian.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	binary.NativeEndian.PutUint64(info[8:], 1<<setFeatures)
	if err := c.ethtool(device, info); err != nil {
		return failure("counting features", err)
	}
	n := int(binary.NativeEndian.Uint32(info[16:]))
	// struct ethtool_gstrings: command, set, length, strings
	names := make([]byte, 12+n*featureLength)
	binary.NativeEndian.PutUint32(names, unix.ETHTOOL_GSTRINGS)
	binary.NativeEndian.PutUint32(names[4:], setFeatures)
	binary.NativeEndian.PutUint32(names[8:], uint32(n))
	if err := c.ethtool(device, names); err != nil {
		return failure("listing features", err)
	}
	for i := range n {
		name := names[12+i*featureLength:][:featureLength]
		if string(bytes.TrimRight(name, "\x00")) == feature {
			return failure(device+": "+feature, c.setFeature(device, i, n))
		}
	}
	return failure(device+": "+feature, unix.EOPNOTSUPP)
}

// setFeature turns on the feature numbered i of n.
func (c control) setFeature(device string, i, n int) error {
	// struct ethtool_sfeatures: command, blocks, and for each 32 features two masks:
	// which to change, and to what
	blocks := (n + 31) / 32
	request := make([]byte, 8+8*blocks)
	binary.NativeEndian.PutUint32(request, unix.ETHTOOL_SFEATURES)
	binary.NativeEndian.PutUint32(request[4:], uint32(blocks))
	block := request[8+i/32*8:]
	binary.NativeEndian.PutUint32(block, 1<<(i%32))
	binary.NativeEndian.PutUint32(block[4:], 1<<(i%32))
	return c.ethtool(device, request)
}

// ethtool carries out a command that is a structure, and lets the kernel answer in it.
func (c control) ethtool(device string, request []byte) error {
	ifr := struct { // struct ifreq, with room for any member of its union
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24]byte
	}{data: unsafe.Pointer(&request[0])}
	copy(ifr.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return nil
}
