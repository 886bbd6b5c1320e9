// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"crypto/rand"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tap is a TAP device and the descriptor that keeps it alive.
type tap struct {
	fd   int
	name string
}

// openTAP makes a TAP device that is not up yet. Of 9 letters, its name is whole in
// the 15 that the name of the thread that polls it may have on old kernels.
func openTAP(flags uint16) (*tap, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, failure("opening /dev/net/tun", err)
	}
	t := &tap{fd: fd, name: "o" + rand.Text()[:8]}
	ifr, err := unix.NewIfreq(t.name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, failure("making a TAP device", err)
	}
	return t, nil
}

// close removes the device, as it lives no longer than its descriptor.
func (t *tap) close() { unix.Close(t.fd) }

// read reads a frame; nil when there is none.
func (t *tap) read(buf []byte) ([]byte, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(t.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	switch {
	case errno == unix.EAGAIN:
		return nil, nil
	case errno != 0:
		return nil, failure("reading a TAP", errno)
	}
	return append([]byte(nil), buf[:n]...), nil
}

// withDevices has devices made in the calling thread's namespace.
func withDevices(open func(control, sysfs) error) error {
	silence()
	c, err := openControl()
	if err != nil {
		return err
	}
	defer c.close()
	s, err := openSysfs()
	if err != nil {
		return err
	}
	defer s.close()
	return open(c, s)
}

// A control is a socket for ioctls on devices of the calling thread's namespace.
type control struct {
	fd int
}

func openControl() (control, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return control{fd}, failure("opening a socket", err)
}

func (c control) close() { unix.Close(c.fd) }

// set changes something of a device that is a number.
func (c control) set(device string, request uint, value uint32) error {
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	ifr.SetUint32(value)
	return failure(fmt.Sprintf("%s: ioctl %#x", device, request), unix.IoctlIfreq(c.fd, request, ifr))
}

func (c control) up(device string) error {
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return failure(device+": up", unix.IoctlIfreq(c.fd, unix.SIOCSIFFLAGS, ifr))
}

// index is a device's number, 0 if there is none.
func (c control) index(device string) uint32 {
	ifr, err := unix.NewIfreq(device)
	if err != nil || unix.IoctlIfreq(c.fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0
	}
	return ifr.Uint32()
}

// silence keeps devices that are yet to be made from sending anything of their own,
// and a bridge from asking the netfilter hooks of IP. What cannot be written is not
// built into the kernel, and does no harm then.
func silence() {
	for path, value := range map[string]string{
		"ipv6/conf/default/disable_ipv6":      "1",
		"ipv6/conf/all/disable_ipv6":          "1",
		"bridge/bridge-nf-call-iptables":      "0",
		"bridge/bridge-nf-call-ip6tables":     "0",
		"bridge/bridge-nf-call-arptables":     "0",
		"bridge/bridge-nf-filter-vlan-tagged": "0",
	} {
		os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)
	}
}

// sysfs is the calling thread's view of /sys/class/net, mounted nowhere: a directory's
// descriptor.
type sysfs struct {
	fd int
}

func openSysfs() (sysfs, error) {
	context, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return sysfs{}, failure("opening sysfs", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return sysfs{}, failure("making a sysfs", err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return sysfs{}, failure("mounting a sysfs", err)
	}
	return sysfs{mount}, nil
}

func (s sysfs) close() { unix.Close(s.fd) }

// write sets a property of a device.
func (s sysfs) write(device, property, value string) error {
	path := "class/net/" + device + "/" + property
	fd, err := unix.Openat(s.fd, path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failure(path, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return failure(path, err)
}
