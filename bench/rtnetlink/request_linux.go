// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Send sends one request and waits for the kernel's answer. flags are added to
// NLM_F_REQUEST and NLM_F_ACK. An error that the kernel answers with is a unix.Errno.
func Send(kind, flags uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	// struct nlmsghdr: length, type, flags, sequence number, port
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	request = binary.NativeEndian.AppendUint32(request, 1)
	request = binary.NativeEndian.AppendUint32(request, 0)
	if err := unix.Sendto(s, append(request, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("the answer is no acknowledgement")
	}
	// struct nlmsgerr: a negative errno, 0 for success.
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// Attribute appends a value to a request, and zeros up to a multiple of 4 bytes.
func Attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func attribute32(b []byte, kind uint16, value uint32) []byte {
	return Attribute(b, kind, binary.NativeEndian.AppendUint32(nil, value))
}

func cString(s string) []byte { return append([]byte(s), 0) }
