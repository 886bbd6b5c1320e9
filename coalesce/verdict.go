// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

// Verdict says what became of one packet and why. Every packet gets exactly
// one. The zero value is Started.
type Verdict uint8

// The first group joined the run that its flow held, or began one.
const (
	// Started: no run of its flow was held; the packet begins one.
	Started Verdict = iota
	// Merged: joined the held run, which may grow further.
	Merged
	// MergedShort: joined, and ended the run by being shorter than its
	// segment size.
	MergedShort
	// MergedPush: joined, and ended the run by its PSH flag.
	MergedPush
	// MergedFin: joined, and ended the run by its FIN flag.
	MergedFin
	// MergedFull: joined as the last datagram that a UDP run takes.
	MergedFull
)

// The second group closed the run that their flow held, because they differ
// from it, and then began a run of their own if their flags allow one.
const (
	// ExtHeadersDiffer: another IPv6 extension header chain.
	ExtHeadersDiffer Verdict = iota + MergedFull + 1
	// TTLDiffers: another TTL or hop limit.
	TTLDiffers
	// TOSDiffers: another TOS or traffic class, ECN bits included.
	TOSDiffers
	// DFDiffers: another Don't Fragment flag.
	DFDiffers
	// IDDiffers: an IPv4 ID that neither counts on nor stays.
	IDDiffers
	// SequenceGap: does not begin where the run ends: lost, reordered or
	// sent again.
	SequenceGap
	// AckDiffers: another acknowledgement number.
	AckDiffers
	// FlagsDiffer: other TCP flags, FIN and PSH aside, or reserved bits.
	FlagsDiffer
	// WindowDiffers: another receive window.
	WindowDiffers
	// UrgentDiffers: another urgent pointer.
	UrgentDiffers
	// OptionsDiffer: other TCP options or another data offset.
	OptionsDiffer
	// Longer: more payload than the run's segment size.
	Longer
	// TooLarge: the merged IP packet would exceed 65535 bytes.
	TooLarge
	// Fenced: a fragment of the same addresses and protocol came between.
	Fenced
	// HeldBadChecksum: the held packet's own TCP or UDP checksum is wrong.
	HeldBadChecksum
	// NotLocal: Config.EndsHere says that the flow must not be merged.
	NotLocal
)

// The third group can take part in no run. They close the run of their flow,
// where they show which flow that is, and pass as they came.
const (
	// Alone: PSH or FIN on a packet that continues no run: it may end a run
	// but never begins one that grows.
	Alone Verdict = iota + NotLocal + 1
	// NoPayload: a TCP segment without payload, such as a pure ACK, or an
	// empty datagram.
	NoPayload
	// Control: SYN, RST or URG is set.
	Control
	// CWR: Congestion Window Reduced is set.
	CWR
	// BadChecksum: the TCP or UDP checksum is wrong.
	BadChecksum
	// NoChecksum: a UDP checksum of 0, which means that there is none.
	NoChecksum
	// ChecksumFFFF: a stored checksum of 0xffff, in the IPv4 or TCP header,
	// which is valid but would be written back as 0x0000.
	ChecksumFFFF
	// BadIPChecksum: the IPv4 header checksum is wrong.
	BadIPChecksum
	// IPOptions: an IPv4 header longer than 20 bytes.
	IPOptions
	// ReservedFlag: the reserved bit of the IPv4 flags is set.
	ReservedFlag
	// Fragment: an IPv4 fragment, or an IPv6 Fragment header.
	Fragment
	// ExtHeader: an IPv6 extension header that never merges.
	ExtHeader
	// LengthMismatch: the IP header's length is not that of the bytes
	// received, padding of a short Ethernet frame aside, or the UDP header's
	// is not that of the IP payload.
	LengthMismatch
	// Malformed: headers that are cut short or contradict themselves.
	Malformed
	// NotTCP: another transport protocol; UDP too without Config.UDP.
	NotTCP
	// NotIP: neither IPv4 nor IPv6, or tagged more than once.
	NotIP
	// Excluded: Packet.Exclude was set.
	Excluded

	// NumVerdicts is the number of verdicts, for counters by verdict.
	NumVerdicts = int(Excluded) + 1
)

var verdictNames = [NumVerdicts]string{
	Started:          "started",
	Merged:           "merged",
	MergedShort:      "merged-short",
	MergedPush:       "merged-push",
	MergedFin:        "merged-fin",
	MergedFull:       "merged-full",
	ExtHeadersDiffer: "ext-headers-differ",
	TTLDiffers:       "ttl-differs",
	TOSDiffers:       "tos-differs",
	DFDiffers:        "df-differs",
	IDDiffers:        "id-differs",
	SequenceGap:      "sequence-gap",
	AckDiffers:       "ack-differs",
	FlagsDiffer:      "flags-differ",
	WindowDiffers:    "window-differs",
	UrgentDiffers:    "urgent-differs",
	OptionsDiffer:    "options-differ",
	Longer:           "longer",
	TooLarge:         "too-large",
	Fenced:           "fenced",
	HeldBadChecksum:  "held-bad-checksum",
	NotLocal:         "not-local",
	Alone:            "alone",
	NoPayload:        "no-payload",
	Control:          "control",
	CWR:              "cwr",
	BadChecksum:      "bad-checksum",
	NoChecksum:       "no-checksum",
	ChecksumFFFF:     "checksum-ffff",
	BadIPChecksum:    "bad-ip-checksum",
	IPOptions:        "ip-options",
	ReservedFlag:     "reserved-flag",
	Fragment:         "fragment",
	ExtHeader:        "ext-header",
	LengthMismatch:   "length-mismatch",
	Malformed:        "malformed",
	NotTCP:           "not-tcp",
	NotIP:            "not-ip",
	Excluded:         "excluded",
}

// String returns the verdict's name in lower case, words joined by hyphens.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}

// Joined reports whether the packet became part of the run that was held.
func (v Verdict) Joined() bool {
	return v >= Merged && v <= MergedFull
}
