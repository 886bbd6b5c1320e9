// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

// KeepsGSO is what was found out about gVisor.
func KeepsGSO() bool { return keepsGSO() }

// SetKeepsGSO pretends to have found out otherwise, until restore is called.
func SetKeepsGSO(keeps bool) (restore func()) {
	before := keepsGSO
	keepsGSO = func() bool { return keeps }
	return func() { keepsGSO = before }
}

// GenerationFlows is how many flows an Endpoint remembers at least.
const GenerationFlows = generationFlows
