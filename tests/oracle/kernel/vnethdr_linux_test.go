// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"reflect"
	"testing"
)

func TestVnetHdr(t *testing.T) {
	want := Frame{Data: make([]byte, 600), GSOType: GSOTCPv6, ECN: true, GSOSize: 500, NeedsCsum: true, CsumStart: 58, CsumOffset: 16}
	header := want.vnetHdr()
	got := Frame{Data: want.Data}
	got.setVnetHdr(header[:], 0)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("there and back: %+v", got)
	}
	if got.setVnetHdr(header[:], 4); got.CsumStart != 62 {
		t.Errorf("with a tag put back the checksum starts at %d", got.CsumStart)
	}
}
