// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// ours is the address of the station under test, packettest's default destination.
const ours = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x02")

// packets is a dispatcher that knows no frames, and remembers what it was given.
type packets struct {
	mu   sync.Mutex
	got  []endpoint.Frame
	hook func()
}

func (p *packets) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	v := pkt.ToView()
	defer v.Release()
	p.add(endpoint.Frame{Data: v.ToSlice(), Protocol: protocol, LinkHdrLen: len(pkt.LinkHeader().Slice()), PktType: pkt.PktType})
}

func (*packets) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

func (p *packets) add(f endpoint.Frame) {
	p.mu.Lock()
	p.got = append(p.got, f)
	hook := p.hook
	p.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (p *packets) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// take waits for n frames and returns them.
func (p *packets) take(t *testing.T, n int) []endpoint.Frame {
	t.Helper()
	leak.Until(t, "frames", func() bool { return p.len() >= n })
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	if len(got) != n {
		t.Fatalf("%d frames, want %d", len(got), n)
	}
	return got
}

// frames is a dispatcher that takes batches.
type frames struct {
	packets
	batches []int
}

func (f *frames) DeliverFrames(batch []endpoint.Frame) {
	f.mu.Lock()
	f.batches = append(f.batches, len(batch))
	f.mu.Unlock()
	for _, one := range batch {
		one.Data = slices.Clone(one.Data)
		f.add(one)
	}
}

var _ endpoint.FrameDispatcher = (*frames)(nil)

// socketpair returns both ends of a pair of that type. The peer's is closed with
// the test unless the test has.
func socketpair(t *testing.T, kind int) (fd int, p *peer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	}
	p = &peer{t: t, fd: fds[1]}
	t.Cleanup(p.close)
	return fds[0], p
}

// peer is the other end of a link.
type peer struct {
	t    *testing.T
	fd   int
	once sync.Once
}

func (p *peer) close() { p.once.Do(func() { unix.Close(p.fd) }) }

func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	for _, f := range frames {
		if err := unix.Send(p.fd, f, 0); err != nil {
			p.t.Fatalf("sending %d bytes: %v", len(f), err)
		}
	}
}

// receive waits for one frame.
func (p *peer) receive() []byte {
	p.t.Helper()
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(leak.Limit.Milliseconds())); n != 1 {
		p.t.Fatalf("nothing came: %v", err)
	}
	b := make([]byte, 70000)
	n, err := unix.Read(p.fd, b)
	if err != nil {
		p.t.Fatal(err)
	}
	return b[:n]
}

// none fails if there is something to receive.
func (p *peer) none() {
	p.t.Helper()
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, 0); n != 0 {
		p.t.Fatalf("something came: %d bytes", len(p.receive()))
	}
}

var checked sync.Map

// checkLeaks looks for leaks once, when all that the test opens after the first
// call is closed.
func checkLeaks(t *testing.T) {
	t.Helper()
	if _, again := checked.LoadOrStore(t, true); !again {
		leak.Check(t)
	}
}

// open makes a link that is closed with the test.
func open(t *testing.T, cfg *rawlink.Config) *rawlink.Link {
	t.Helper()
	checkLeaks(t)
	l, err := rawlink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "Close", l.Close) })
	return l
}

// pair makes a link over one end of a SOCK_SEQPACKET pair, attached to d.
func pair(t *testing.T, cfg rawlink.Config, d stack.NetworkDispatcher) (*rawlink.Link, *peer) {
	t.Helper()
	fd, p := socketpair(t, unix.SOCK_SEQPACKET)
	cfg.FDs = []int{fd}
	l := open(t, &cfg)
	l.Attach(d)
	return l, p
}

// raw is what the stack hands down unparsed.
func raw(data []byte) *stack.PacketBuffer {
	return stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(data)})
}

// outgoing is TCP as netstack hands it down: parsed, with mss and without a
// checksum where mss is not 0. With ether it has an Ethernet header.
func outgoing(tcp packettest.TCP, mss uint16, ether bool) *stack.PacketBuffer {
	tcp.Partial = mss > 0
	ip := tcp.Bytes()
	ipLen := 20 + len(tcp.IP.Options)
	protocol := header.IPv4ProtocolNumber
	if tcp.IP.V6 {
		ipLen, protocol = 40, header.IPv6ProtocolNumber
	}
	tcpLen := 20 + len(tcp.Options)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: 14 + ipLen + tcpLen,
		Payload:            buffer.MakeWithData(ip[ipLen+tcpLen:]),
	})
	copy(pkt.TransportHeader().Push(tcpLen), ip[ipLen:])
	copy(pkt.NetworkHeader().Push(ipLen), ip)
	pkt.NetworkProtocolNumber = protocol
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	if mss > 0 {
		pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: mss, L3HdrLen: 20, MaxSize: 65535}
		if tcp.IP.V6 {
			pkt.GSOOptions.Type, pkt.GSOOptions.L3HdrLen = stack.GSOTCPv6, 40
		}
	}
	if ether {
		f := packettest.Link{Ethernet: true}.Wrap(ip)
		copy(pkt.LinkHeader().Push(14), f.Data)
	}
	return pkt
}

// send gives the link one list of packets and gives up its references.
func send(l *rawlink.Link, pkts ...*stack.PacketBuffer) (int, tcpip.Error) {
	var list stack.PacketBufferList
	for _, pkt := range pkts {
		list.PushBack(pkt)
	}
	defer list.Reset()
	return l.WritePackets(list)
}

// needsRoot skips a test that makes devices.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs privilege: root, to make devices in a network namespace")
	}
}
