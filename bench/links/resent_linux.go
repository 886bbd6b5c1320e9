// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// kernelResent is how many TCP segments the kernel has sent again in the network
// namespace of the calling thread.
func kernelResent() (uint64, error) {
	snmp, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return 0, err
	}
	return snmpValue(string(snmp), "Tcp:", "RetransSegs")
}

// snmpValue finds a counter in /proc/net/snmp, which has a line of names and a line
// of values for each protocol.
func snmpValue(snmp, protocol, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != protocol {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, name); i >= 0 && i < len(fields) {
			return strconv.ParseUint(fields[i], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/net/snmp has no %s %s", protocol, name)
}
