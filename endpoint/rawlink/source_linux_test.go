// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// What may bring super-packets is read into views where the frames before were
// large. Whatever the order of sizes, every frame comes as it was sent.
func TestSourceViews(t *testing.T) {
	t.Run("device", func(t *testing.T) { testSource(t, func(fd int) source { return &deviceSource{fd: fd, super: true} }) })
	t.Run("device by read", func(t *testing.T) {
		testSource(t, func(fd int) source { return &deviceSource{fd: fd, super: true, useRead: true} })
	})
	t.Run("socket", func(t *testing.T) { testSource(t, func(fd int) source { return &socketSource{fd: fd, super: true} }) })
}

func testSource(t *testing.T, open func(fd int) source) {
	const limit = 10 + 65535 + 18 // virtio_net_hdr, Ethernet with a tag
	sizes := []int{
		60, viewFrom - 1, viewFrom, // into a view from here on
		60, 1500, viewFrom, viewSize, viewSize - 1, 60000,
		viewSize + 1, limit, // more than a view holds
		1500, limit, 40, limit, limit + 1, 40, viewFrom, viewFrom - 1, viewFrom, viewFrom,
	}
	// A socket of packets keeps boundaries as a TUN does.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	s := open(fds[0])
	defer s.close()

	var raw []received
	inViews := 0
	for i, size := range sizes {
		want := packettest.Stream(uint32(i), size)
		if err := unix.Send(fds[1], want, 0); err != nil {
			t.Fatal(err)
		}
		// Alternately with one more waiting, so that frames share a batch.
		both := i%2 == 0
		if both {
			if err := unix.Send(fds[1], want, 0); err != nil {
				t.Fatal(err)
			}
		}
		var errno unix.Errno
		if raw, errno = s.read(raw[:0], limit); errno != 0 && errno != unix.EAGAIN {
			t.Fatal(errno)
		}
		if n := 1 + btoi(both); len(raw) != n {
			t.Fatalf("frame %d: %d reads, want %d", i, len(raw), n)
		}
		for _, got := range raw {
			switch {
			case size > limit:
				if got.data != nil || got.view != nil {
					t.Errorf("frame %d of %d bytes was not found to be too large", i, size)
				}
			case !bytes.Equal(got.data, want):
				t.Errorf("frame %d of %d bytes came as %d others", i, size, len(got.data))
			case got.view != nil:
				inViews++
				if size < viewFrom || !bytes.Equal(got.view.AsSlice(), want) {
					t.Errorf("frame %d of %d bytes lies in a view of %d", i, size, got.view.Size())
				}
				got.view.Release()
			}
		}
	}
	if inViews < 6 {
		t.Errorf("%d frames came in views", inViews)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
