// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet_test

import (
	"fmt"
	"net/netip"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

func ExampleCreateNetTUN() {
	addrs, dns := []netip.Addr{netip.MustParseAddr("192.0.2.1")}, []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	dev, tnet, err := wgnet.CreateNetTUN(addrs, dns, 1420) // was: netstack.CreateNetTUN
	if err != nil {
		fmt.Println(err)
		return
	}
	wg := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	// wg.IpcSet(keys, endpoints), wg.Up(), then tnet.DialContext, ListenTCP and so on.
	fmt.Println(dev.BatchSize(), tnet != nil)
	wg.Close()
	// Output: 128 true
}
