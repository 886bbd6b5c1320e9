// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// A kernelConn is a TCP connection that makes its system calls, which do not block,
// without telling the scheduler. A call that takes longer than 20 us otherwise costs
// two changes of thread, and those of a block of data do: that is a tenth of what a
// sender of 5 Gbit/s can do, which would be measured as the speed of its peer.
type kernelConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func newKernelConn(conn net.Conn) (net.Conn, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("transfer: %w", err)
	}
	return &kernelConn{tcp, raw}, nil
}

// Read implements net.Conn.
func (c *kernelConn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	waitErr := c.raw.Read(func(fd uintptr) bool {
		n, err = do(syscall.SYS_READ, fd, b)
		return err != syscall.EAGAIN
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *kernelConn) Write(b []byte) (n int, err error) {
	waitErr := c.raw.Write(func(fd uintptr) bool {
		for err = nil; n < len(b) && err == nil; {
			var k int
			k, err = do(syscall.SYS_WRITE, fd, b[n:])
			n += k
		}
		return err != syscall.EAGAIN
	})
	if waitErr != nil {
		return n, waitErr
	}
	return n, os.NewSyscallError("write", err)
}

// do reads or writes b, which is not empty. The error is a syscall.Errno.
func do(call, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
