// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package rawlink_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// confinedEnv names the transfer that this program, run by itself, is to make under
// a seccomp filter.
const confinedEnv = "RAWLINK_CONFINED"

// exitSkip says that the kernel has taken no filter.
const exitSkip = 77

// joints are what is transferred over: two stacks, or a stack and the kernel, which is
// joined to it by any of devices.
var joints = map[string]func(*testing.T) *joint{
	"SEQPACKET":                     func(t *testing.T) *joint { return newJoint(t, unix.SOCK_SEQPACKET, false) },
	"SEQPACKET with virtio_net_hdr": func(t *testing.T) *joint { return newJoint(t, unix.SOCK_SEQPACKET, true) },
	"DGRAM":                         func(t *testing.T) *joint { return newJoint(t, unix.SOCK_DGRAM, false) },
	// Of these the filter is to be felt.
	"forbidden call": func(t *testing.T) *joint {
		j := newJoint(t, unix.SOCK_SEQPACKET, false)
		j.also = func() { unix.GetsockoptInt(j.fds[0], unix.SOL_SOCKET, unix.SO_ERROR) }
		return j
	},
	"forbidden descriptor": func(t *testing.T) *joint {
		j := newJoint(t, unix.SOCK_SEQPACKET, false)
		j.also = func() { unix.Write(j.fds[0], []byte{0x45}) }
		return j
	},
}

func init() {
	for name, open := range devices {
		joints[name] = func(t *testing.T) *joint { return newKernelJoint(open(t)) }
	}
}

// Under a filter that lets pass what the Go runtime needs and the system calls that
// package rawlink documents, and nothing else, it moves data both ways, waits for
// what comes and for room, and stops.
func TestSystemCalls(t *testing.T) {
	if name := os.Getenv(confinedEnv); name != "" {
		confined(joints[name](t))
	}
	for name := range joints {
		t.Run(name, func(t *testing.T) {
			if devices[name] != nil {
				needsRoot(t)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSystemCalls$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), confinedEnv+"="+name)
			out, err := cmd.CombinedOutput()
			killed := strings.Contains(string(out), "SIGSYS")
			switch {
			case cmd.ProcessState.ExitCode() == exitSkip:
				t.Skipf("needs seccomp: %s", out)
			case strings.HasPrefix(name, "forbidden"):
				if !killed {
					t.Errorf("the filter let it pass: %v\n%s", err, out)
				}
			case err != nil:
				t.Errorf("%v\n%.3000s", err, out) // the trace begins with the call
			}
		})
	}
}

// joint is a connection over links.
type joint struct {
	links []*rawlink.Link
	fds   []int // of the links
	conns [2]net.Conn
	also  func() // what else is tried; nil is nothing
}

// newJoint joins two stacks by a socketpair.
func newJoint(t *testing.T, kind int, vnet bool) *joint {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	j := &joint{fds: fds[:]}
	var hosts []*transfer.Host
	for i, fd := range fds {
		l := open(t, &rawlink.Config{FDs: []int{fd}, VnetHdr: vnet})
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		// Less under way than the 10 packets that a socket holds: nothing is lost.
		h, err := transfer.NewHost(endpoint.New(l, nil), &transfer.HostConfig{Addrs: []netip.Addr{addr}, Buffer: 6 << 10})
		if err != nil {
			t.Fatal(err)
		}
		j.links, hosts = append(j.links, l), append(hosts, h)
	}
	ln, err := hosts[1].Listen(t.Context(), 80)
	if err != nil {
		t.Fatal(err)
	}
	if j.conns[0], err = hosts[0].Dial(t.Context(), netip.AddrPortFrom(hosts[1].Addr(), 80)); err != nil {
		t.Fatal(err)
	}
	if j.conns[1], err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return j
}

// newKernelJoint joins the kernel and a stack.
func newKernelJoint(l *lab) *joint {
	l.cfg.UseRead = false // as for descriptors that come from elsewhere
	link := l.open()
	kernel, netstack := l.conns(host(l.t, endpoint.New(link, nil), nil), false, 1)
	return &joint{links: []*rawlink.Link{link}, fds: l.cfg.FDs, conns: [2]net.Conn{kernel[0], netstack[0]}}
}

// confined makes the transfer and exits.
func confined(j *joint) {
	if err := confine(j.fds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitSkip)
	}
	if err := j.transfer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (j *joint) transfer() error {
	for i := range j.conns {
		if err := pass(j.conns[i], j.conns[1-i], 1<<20); err != nil {
			return err
		}
	}
	if j.also != nil {
		j.also()
	}
	l := j.links[0]
	if s := l.Stats(); s.Waits == 0 || s.Received == 0 || s.Sent == 0 {
		return fmt.Errorf("this proves nothing: %+v", s)
	}
	if len(j.links) > 1 { // nobody reads: the sender waits for room
		j.links[1].Attach(nil)
		for range 10000 {
			send(l, raw(make([]byte, 1000)))
			if l.Stats().DroppedFull > 0 {
				break
			}
		}
		if s := l.Stats(); s.DroppedFull == 0 {
			return fmt.Errorf("it did not wait for room: %+v", s)
		}
	}
	l.Attach(nil)
	l.Wait()
	return nil
}

// confine has any other system call than these raise SIGSYS, for which the Go runtime
// says where it was made, and read and write on one of fds.
func confine(fds []int) error {
	allowed := []uint32{
		// The data path.
		unix.SYS_RECVMMSG, unix.SYS_SENDMMSG, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PPOLL,
		// The runtime: threads and signals, ...
		unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
		unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_TGKILL,
		// ... memory, time, its own poller, and GOMAXPROCS, which follows the cgroup.
		unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_PRCTL, unix.SYS_GETRANDOM,
		unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_EPOLL_PWAIT, unix.SYS_PREAD64,
	}
	const number, firstArgument = 0, 16 // in struct seccomp_data; little-endian
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value uint32, skip int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: uint8(skip)}
	}
	end := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	filter := []unix.SockFilter{load(number)}
	for _, call := range allowed {
		filter = append(filter, unless(call, 1), end(unix.SECCOMP_RET_ALLOW))
	}
	for _, call := range []uint32{unix.SYS_READ, unix.SYS_WRITE} {
		filter = append(filter, unless(call, 2+2*len(fds)), load(firstArgument))
		for _, fd := range fds {
			filter = append(filter, unless(uint32(fd), 1), end(unix.SECCOMP_RET_TRAP))
		}
		filter = append(filter, end(unix.SECCOMP_RET_ALLOW))
	}
	filter = append(filter, end(unix.SECCOMP_RET_TRAP))

	runtime.LockOSThread() // for both calls; all other threads follow the second
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	failed, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 || failed != 0 {
		return fmt.Errorf("seccomp: thread %d, %w", failed, errno)
	}
	return nil
}
