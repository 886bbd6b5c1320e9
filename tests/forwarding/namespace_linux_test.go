// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// namespace is a network namespace, a kernel of its own as far as packets are
// concerned, and the one thread that is in it.
type namespace struct {
	t     *testing.T
	calls chan func()
}

// newNamespace makes a namespace that ends with the test.
func newNamespace(t *testing.T) *namespace {
	if !*kernels && *contrast == 0 {
		t.Skip("between real kernels only with -kernels: see the package")
	}
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs privilege: root, to make devices in network namespaces")
	}
	n := &namespace{t: t, calls: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
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
	n.up("lo")
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

// node is a Node whose sockets are the namespace's.
type node struct {
	*namespace
	kernel transfer.Kernel
}

func (n *namespace) at(addr string) transfer.Node {
	return &node{n, transfer.Kernel{Address: netip.MustParseAddr(addr)}}
}

func (k *node) Addr() netip.Addr { return k.kernel.Address }

func (k *node) Listen(ctx context.Context, port uint16) (l net.Listener, err error) {
	k.do(func() { l, err = k.kernel.Listen(ctx, port) })
	return l, err
}

func (k *node) Dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	k.do(func() { c, err = k.kernel.Dial(ctx, to) })
	return c, err
}

func (n *namespace) ioctl(device string, request uint, result func(*unix.Ifreq)) {
	n.t.Helper()
	var err error
	n.do(func() {
		var s int
		if s, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(s)
		var ifr *unix.Ifreq
		if ifr, err = unix.NewIfreq(device); err != nil {
			return
		}
		if err = unix.IoctlIfreq(s, request, ifr); err == nil {
			result(ifr)
		}
	})
	n.must(err)
}

func (n *namespace) index(device string) (index uint32) {
	n.t.Helper()
	n.ioctl(device, unix.SIOCGIFINDEX, func(ifr *unix.Ifreq) { index = ifr.Uint32() })
	return index
}

func (n *namespace) up(device string) {
	n.t.Helper()
	n.setUp(device, true)
}

func (n *namespace) setUp(device string, up bool) {
	n.t.Helper()
	body := link(n.index(device), unix.IFF_UP)
	if !up {
		binary.NativeEndian.PutUint32(body[8:], 0)
	}
	n.route(unix.RTM_SETLINK, 0, body)
}

// setMTU also brings IPv6 up, which is not the default everywhere.
func (n *namespace) setMTU(device string, mtu uint32) {
	n.t.Helper()
	body := attribute(link(n.index(device), 0), unix.IFLA_MTU, native32(mtu))
	n.route(unix.RTM_SETLINK, 0, body)
	n.sysctl("ipv6/conf/"+device+"/disable_ipv6", "0")
}

// sysctl sets what the namespace has of its own under /proc/sys/net.
func (n *namespace) sysctl(name, value string) {
	n.t.Helper()
	var err error
	n.do(func() { err = os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
	n.must(err)
}

// addVeth makes a pair of devices and brings them up.
func (n *namespace) addVeth(device, peer string) {
	n.t.Helper()
	name := func(s string) []byte { return attribute(nil, unix.IFLA_IFNAME, append([]byte(s), 0)) }
	other := attribute(nil, 1 /* VETH_INFO_PEER */, append(link(0, 0), name(peer)...))
	info := attribute(nil, unix.IFLA_INFO_KIND, []byte("veth\x00"))
	info = attribute(info, unix.IFLA_INFO_DATA, other)
	body := attribute(append(link(0, 0), name(device)...), unix.IFLA_LINKINFO, info)
	n.route(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
	for _, d := range []string{device, peer} {
		n.up(d)
	}
	// For a moment after the wire is there frames are dropped.
	for _, d := range []string{device, peer} {
		leak.Until(n.t, "the veth pair", func() (running bool) {
			n.ioctl(d, unix.SIOCGIFFLAGS, func(ifr *unix.Ifreq) { running = ifr.Uint16()&unix.IFF_RUNNING != 0 })
			return running
		})
	}
}

// addAddress gives a device an address and its subnet, without duplicate address
// detection.
func (n *namespace) addAddress(device, address string) {
	n.t.Helper()
	addr := netip.MustParseAddr(address)
	family, bits := familyOf(addr)
	body := []byte{family, bits, unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, n.index(device))
	body = attribute(body, unix.IFA_LOCAL, addr.AsSlice())
	body = attribute(body, unix.IFA_ADDRESS, addr.AsSlice())
	n.route(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

// addDefault routes everything through gateway, on device. advMSS, if not 0, is what
// connections announce, whatever the device's MTU.
func (n *namespace) addDefault(device, gateway string, advMSS uint32) {
	n.t.Helper()
	addr := netip.MustParseAddr(gateway)
	family, _ := familyOf(addr)
	// struct rtmsg: family, prefix and TOS; table, protocol, scope, type; flags.
	body := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST}
	body = append(body, native32(unix.RTNH_F_ONLINK)...)
	body = attribute(body, unix.RTA_GATEWAY, addr.AsSlice())
	body = attribute(body, unix.RTA_OIF, native32(n.index(device)))
	if advMSS > 0 {
		body = attribute(body, unix.RTA_METRICS, attribute(nil, unix.RTAX_ADVMSS, native32(advMSS)))
	}
	n.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

func familyOf(addr netip.Addr) (family, bits byte) {
	if addr.Is6() {
		return unix.AF_INET6, 64
	}
	return unix.AF_INET, 24
}

// offloadsOff makes a device send what a wire would carry.
func (n *namespace) offloadsOff(device string) {
	n.t.Helper()
	for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO, unix.ETHTOOL_STXCSUM} {
		var err error
		n.do(func() { err = ethtool(device, command) })
		n.must(err)
	}
}

// ethtool carries out a command with the value 0.
func ethtool(device string, command uint32) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
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
		return fmt.Errorf("ethtool %#x of %s: %w", command, device, errno)
	}
	return nil
}

// link is a struct ifinfomsg that sets flags.
func link(index, flags uint32) []byte {
	b := []byte{unix.AF_UNSPEC, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, index)
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, flags)
}

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// route sends one rtnetlink request and waits for the acknowledgement.
func (n *namespace) route(kind, flags uint16, body []byte) {
	n.t.Helper()
	var err error
	n.do(func() { err = request(kind, flags, body) })
	n.must(err)
}

func request(kind, flags uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	b := native32(uint32(unix.SizeofNlMsghdr + len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	b = append(b, make([]byte, 8)...)
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
		return fmt.Errorf("rtnetlink request %d: %w", kind, unix.Errno(-code))
	}
	return nil
}
