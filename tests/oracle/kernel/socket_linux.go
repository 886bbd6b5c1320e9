// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBuffer holds the largest bursts, whose frames the kernel counts with the
// rest of the pages they are in.
const receiveBuffer = 64 << 20

// A socket is a packet socket on one device: it sees what was received, after GRO.
type socket struct {
	descriptor int
	buf        []byte
	aux        [256]byte
}

func openSocket(index uint32) (*socket, error) {
	// Bound to no protocol it receives nothing until its options are set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, failure("opening a packet socket", err)
	}
	s := &socket{descriptor: fd, buf: make([]byte, 1<<17)}
	if err := s.configure(index); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *socket) configure(index uint32) error {
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
	} {
		if err := unix.SetsockoptInt(s.descriptor, o.level, o.name, o.value); err != nil {
			return failure(fmt.Sprintf("option %d of a packet socket", o.name), err)
		}
	}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	return failure("binding a packet socket", unix.Bind(s.descriptor, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(index)}))
}

func (s *socket) fd() int { return s.descriptor }
func (s *socket) close()  { unix.Close(s.descriptor) }

// next takes a frame out of the socket's queue; ok is false if there is none.
func (s *socket) next() (f Frame, ok bool, err error) {
	iov := unix.Iovec{Base: &s.buf[0]}
	iov.SetLen(len(s.buf))
	msg := unix.Msghdr{Iov: &iov, Control: &s.aux[0]}
	msg.SetIovlen(1)
	msg.SetControllen(len(s.aux))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(s.descriptor), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return f, false, nil
	case errno != 0:
		return f, false, failure("reading a packet socket", errno)
	case msg.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || n < vnetHdrLen+12:
		return f, false, fmt.Errorf("kernel: a frame was cut off: %d bytes", n)
	}
	tag := vlanTag(s.aux[:msg.Controllen])
	frame := s.buf[vnetHdrLen:n]
	f.Data = make([]byte, 0, len(frame)+len(tag))
	f.Data = append(append(append(f.Data, frame[:12]...), tag...), frame[12:]...)
	f.setVnetHdr(s.buf[:vnetHdrLen], len(tag))
	return f, true, nil
}

// vlanTag is the tag that the kernel took out of a frame, from what accompanies it (a
// struct tpacket_auxdata); nil for none.
func vlanTag(control []byte) []byte {
	const header = unix.SizeofCmsghdr
	if len(control) < header+int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
		return nil
	}
	aux := control[header:] // the only kind of message that is asked for
	if binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_VALID == 0 {
		return nil
	}
	tag := binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(aux[18:]))
	return binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(aux[16:]))
}
