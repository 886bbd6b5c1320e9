// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import "testing"

func TestSNMPValue(t *testing.T) {
	const snmp = "Icmp: InMsgs RetransSegs\nIcmp: 1 2\n" +
		"Tcp: RtoAlgorithm MaxConn RetransSegs\nTcp: 1 -1 77\nUdp: InDatagrams\nUdp: 5\n"
	if got, err := snmpValue(snmp, "Tcp:", "RetransSegs"); got != 77 || err != nil {
		t.Errorf("got %d, %v, want 77", got, err)
	}
	for _, bad := range []string{"", "Tcp:\nTcp:\n", "Tcp: RetransSegs\n", "Tcp: A RetransSegs\nTcp: 1\n", "Tcp: RetransSegs\nTcp: x\n"} {
		if got, err := snmpValue(bad, "Tcp:", "RetransSegs"); err == nil {
			t.Errorf("%q: got %d and no error", bad, got)
		}
	}
}
