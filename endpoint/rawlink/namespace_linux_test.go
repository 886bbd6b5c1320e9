// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// namespace is a network namespace, and the one thread that is in it. What has to
// happen there, such as making a socket, goes through do.
type namespace struct {
	t     *testing.T
	calls chan func()
}

// newNamespace makes a namespace that ends with the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	needsRoot(t)
	checkLeaks(t)
	n := &namespace{t: t, calls: make(chan func())}
	made := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		made <- err
		if err != nil {
			return
		}
		for f := range n.calls {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Skipf("needs privilege: a network namespace: %v", err)
	}
	t.Cleanup(func() { close(n.calls) })
	n.must(n.setLink("lo", true))
	return n
}

// do runs f in the namespace.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { defer close(done); f() }
	<-done
}

func (n *namespace) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *namespace) index(device string) (index uint32, err error) {
	n.do(func() {
		err = ioctl(device, unix.SIOCGIFINDEX, func(ifr *unix.Ifreq) { index = ifr.Uint32() })
	})
	return index, err
}

func ioctl(device string, request uint, result func(*unix.Ifreq)) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, request, ifr); err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	result(ifr)
	return nil
}

// setLink brings a device up or down.
func (n *namespace) setLink(device string, up bool) error {
	var flags uint32
	if up {
		flags = unix.IFF_UP
	}
	index, err := n.index(device)
	if err != nil {
		return err
	}
	return n.route(unix.RTM_SETLINK, 0, link(index, flags, unix.IFF_UP))
}

// deleteLink removes a device.
func (n *namespace) deleteLink(device string) error {
	index, err := n.index(device)
	if err != nil {
		return err
	}
	return n.route(unix.RTM_DELLINK, 0, link(index, 0, 0))
}

// addVeth makes a pair of devices and brings them up.
func (n *namespace) addVeth(device, peer string, mtu uint32) {
	n.t.Helper()
	end := func(name string) []byte {
		b := attribute(nil, unix.IFLA_IFNAME, append([]byte(name), 0))
		return attribute(b, unix.IFLA_MTU, binary.NativeEndian.AppendUint32(nil, mtu))
	}
	other := attribute(nil, 1 /* VETH_INFO_PEER */, append(link(0, 0, 0), end(peer)...))
	info := attribute(nil, unix.IFLA_INFO_KIND, []byte("veth\x00"))
	info = attribute(info, unix.IFLA_INFO_DATA, other)
	body := attribute(append(link(0, 0, 0), end(device)...), unix.IFLA_LINKINFO, info)
	n.must(n.route(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body))
	for _, d := range []string{device, peer} {
		n.must(n.setLink(d, true))
	}
	// For a moment after the wire is there frames are dropped, and a lost SYN
	// costs a second.
	for _, d := range []string{device, peer} {
		leak.Until(n.t, "the veth pair", func() (running bool) {
			n.do(func() {
				n.must(ioctl(d, unix.SIOCGIFFLAGS, func(ifr *unix.Ifreq) { running = ifr.Uint16()&unix.IFF_RUNNING != 0 }))
			})
			return running
		})
	}
}

// addAddress gives a device an address and its subnet, without duplicate address
// detection.
func (n *namespace) addAddress(device, address string) {
	n.t.Helper()
	addr := netip.MustParseAddr(address)
	family, bits := byte(unix.AF_INET), byte(24)
	if addr.Is6() {
		family, bits = unix.AF_INET6, 64
		n.do(func() {
			os.WriteFile("/proc/thread-self/net/../sys/net/ipv6/conf/"+device+"/disable_ipv6", []byte("0"), 0)
		})
	}
	index, err := n.index(device)
	n.must(err)
	body := []byte{family, bits, unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, index)
	body = attribute(body, unix.IFA_LOCAL, addr.AsSlice())
	body = attribute(body, unix.IFA_ADDRESS, addr.AsSlice())
	n.must(n.route(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body))
}

// offloadsOff makes a device send what a wire would carry.
func (n *namespace) offloadsOff(device string) {
	n.t.Helper()
	for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO, unix.ETHTOOL_STXCSUM} {
		n.do(func() { n.must(ethtool(device, command)) })
	}
}

func ethtool(device string, command uint32) error {
	_, err := ethtoolGet(device, command)
	return err
}

// ethtoolGet carries out a command with the value 0, and returns the value after.
func ethtoolGet(device string, command uint32) (uint32, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	request := struct{ command, value uint32 }{command, 0} // struct ethtool_value
	ifr := struct {                                        // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24]byte
	}{data: unsafe.Pointer(&request)}
	copy(ifr.name[:unix.IFNAMSIZ-1], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		return 0, fmt.Errorf("ethtool %#x of %s: %w", command, device, errno)
	}
	return request.value, nil
}

// link is a struct ifinfomsg.
func link(index, flags, change uint32) []byte {
	b := []byte{unix.AF_UNSPEC, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, index)
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// route sends one rtnetlink request and waits for the acknowledgement.
func (n *namespace) route(kind, flags uint16, body []byte) (err error) {
	n.do(func() { err = request(kind, flags, body) })
	return err
}

func request(kind, flags uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	b = binary.NativeEndian.AppendUint32(b, 1)
	b = binary.NativeEndian.AppendUint32(b, 0)
	if err := unix.Sendto(s, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return io.ErrUnexpectedEOF
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return errors.Join(fmt.Errorf("rtnetlink request %d", kind), unix.Errno(-code))
	}
	return nil
}
