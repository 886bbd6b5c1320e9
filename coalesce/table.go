// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Packet describes one received packet. Its bytes stay the caller's.
type Packet struct {
	// Head begins with the link header and holds, contiguously, at least all
	// headers. Where it ends before they do, the packet passes as Malformed.
	Head []byte
	// Tail is what follows Head, in order: nil for a contiguous packet.
	Tail [][]byte
	// LinkHdrLen is the length of the link header, a VLAN tag not included:
	// 14 for Ethernet, 0 for bare IP.
	LinkHdrLen int
	// Protocol is the network protocol; 0x8100 for a frame with one VLAN tag
	// behind its link header.
	Protocol tcpip.NetworkProtocolNumber
	// Vouched says that whoever delivers the packet answers for its TCP or
	// UDP checksum, which is then not verified.
	Vouched bool
	// Exclude makes the packet pass, and close the run of its flow.
	Exclude bool
	// ID is returned in Run.ID.
	ID int
}

func (p *Packet) size() int {
	n := len(p.Head)
	for _, b := range p.Tail {
		n += len(b)
	}
	return n
}

// DefaultMaxPackets is the bound on packets held that a zero
// Config.MaxPackets means.
const DefaultMaxPackets = 4096

// Config sets what a Table may do. The zero Config is the default.
type Config struct {
	// MaxPackets bounds the packets that a Table holds; see Table.Full. 0
	// means DefaultMaxPackets.
	MaxPackets int
	// UDP merges UDP datagrams too. It is only for where whoever receives the
	// super-packet can take it: netstack's sockets cannot, and would read one
	// long datagram.
	UDP bool
	// EndsHere, if not nil, is asked before a run takes its second packet
	// whether packets to dst, an address of 4 or 16 bytes which it must not
	// keep, may be merged at all. It is asked at most once for each run, and
	// its last answer is remembered until the Table is empty.
	EndsHere func(protocol tcpip.NetworkProtocolNumber, dst []byte) bool
}

const none = int32(-1)

// Table coalesces batches of packets. Memory is kept from batch to batch, so
// that in steady state nothing is allocated. A Table is not safe for concurrent
// use. Create it with New.
type Table struct {
	cfg    Config
	hasher Hasher

	// Slots are used again while a batch lasts, through the free lists, and
	// cleared all at once when the Table is empty.
	runs    []Run
	freeRun int32 // list through Run.later
	// The runs that wait to leave, oldest first, are a list through Run.later.
	oldest, newest int32

	members    []member
	freeMember int32 // list through member.next

	// buckets holds for each hash the first of a list, through Run.sameHash,
	// of open runs and of fences.
	buckets []int32

	held   int    // packets in all runs
	fences int    // fragments that later packets must not join runs across
	clock  uint64 // packets taken
	popped int32  // the run last handed out

	local struct { // the last answer of EndsHere
		known, answer bool
		version       uint8
		dst           [2]uint64
	}
}

// member is a packet of a run, its first excepted.
type member struct {
	payload []byte   // with size bytes or, if it goes on in tail, fewer
	tail    [][]byte // empty if it does not
	size    int32
	next    int32
}

// Run is one packet leaving a Table: a single one as it came, or several merged
// into one. It belongs to the Table and is valid until the next call of Add or
// Pop. The fields are for reading.
type Run struct {
	// ID is that of the first packet.
	ID int
	// Count is the number of packets. With 1, the packet with this ID leaves
	// as it came, and of what follows only ID and Count mean anything.
	Count int
	// Transport is what merged: TCP or UDP.
	Transport tcpip.TransportProtocolNumber
	// SegmentSize is the payload of each packet, behind the TCP or UDP header,
	// in bytes; the last may have less.
	SegmentSize int
	// FixedID tells that all packets had the same IPv4 ID, which splitting has
	// to restore; otherwise IDs count up by one.
	FixedID bool
	// Vouched tells that the checksum of a packet in the run was not verified.
	Vouched bool
	// LinkHdrLen is Packet.LinkHdrLen of the first packet; HeaderLen is the
	// length of all headers, from the link header to the TCP options or the
	// UDP header.
	LinkHdrLen, HeaderLen int
	// PayloadLen is the merged payload in bytes.
	PayloadLen int

	t    *Table
	head []byte
	tail [][]byte
	f    facts

	firstMember, lastMember int32
	later                   int32
	sameHash                int32
	bucket                  uint32
	inTable                 bool // open, or a fence
	fence                   bool

	flags   byte   // of TCP: FIN and PSH of the last member
	nextSeq uint32 // of TCP
	ids     idMode
	sums    sums
	sum     uint16 // of the payload
	begun   uint64 // Table.clock when the first packet came
}

// New returns an empty Table. A nil cfg means the defaults.
func New(cfg *Config) *Table {
	t := &Table{hasher: NewHasher(), oldest: none, newest: none, popped: none, freeRun: none, freeMember: none}
	if cfg != nil {
		t.cfg = *cfg
	}
	if t.cfg.MaxPackets <= 0 {
		t.cfg.MaxPackets = DefaultMaxPackets
	}
	n := 16
	for n < t.cfg.MaxPackets {
		n *= 2
	}
	t.buckets = make([]int32, n)
	for i := range t.buckets {
		t.buckets[i] = none
	}
	return t
}

// Full reports that the Table holds as many packets as it may: before the next
// Add the oldest run has to leave by Pop.
func (t *Table) Full() bool { return t.held >= t.cfg.MaxPackets }

// Add takes a packet and returns what became of it. p's bytes must stay as they
// are until the run that they are part of has been popped and used; p itself
// may be used again at once. Adding to a Table that is Full exceeds the bound
// but does no other harm.
func (t *Table) Add(p *Packet) Verdict {
	t.releasePopped()
	t.clock++
	t.held++
	var f facts
	f.parse(p, t.cfg.UDP)
	if f.key.version == 0 || !t.merges(&f.key) {
		t.push(p, &f, false)
		return f.verdict
	}
	if f.verdict == Fragment {
		t.addFence(p, &f)
		return Fragment
	}

	hash := t.hasher.key(&f.key)
	bucket := t.bucket(hash ^ t.hasher.link(p.Head[:f.net]))
	verdict := f.verdict
	if i := t.find(bucket, &f, p); i != none {
		if verdict == Started {
			if verdict = t.join(i, p, &f); verdict.Joined() {
				return verdict
			}
		}
		t.unlink(i)
	}
	canStart := verdict <= NotLocal
	if canStart && endsRun(p, &f) {
		if verdict == Started {
			verdict = Alone
		}
		canStart = false
	}
	i := t.push(p, &f, canStart)
	if canStart {
		t.link(i, bucket)
	}
	return verdict
}

// merges reports whether there may be runs of k's protocol, or, of a fragment that
// does not show it, of any.
func (t *Table) merges(k *flowKey) bool {
	return k.proto == protoTCP || k.proto == protoUDP && t.cfg.UDP || k.proto == protoHidden && k.version == 6
}

// Pop hands out the oldest run, or nil if there is none.
func (t *Table) Pop() *Run {
	t.releasePopped()
	i := t.oldest
	if i == none {
		t.reset()
		return nil
	}
	r := &t.runs[i]
	t.oldest = r.later
	if t.oldest == none {
		t.newest = none
	}
	if r.inTable {
		t.unlink(i)
	}
	t.held -= r.Count
	t.popped = i
	return r
}

func (t *Table) bucket(hash uint64) uint32 {
	return uint32(hash) & uint32(len(t.buckets)-1)
}

// find returns the open run of the packet's flow, or none.
func (t *Table) find(bucket uint32, f *facts, p *Packet) int32 {
	for i := t.buckets[bucket]; i != none; i = t.runs[i].sameHash {
		r := &t.runs[i]
		if !r.f.key.equal(&f.key) || r.fence || r.f.net != f.net {
			continue
		}
		if f.net == 0 || bytes.Equal(r.head[:f.net], p.Head[:f.net]) {
			return i
		}
	}
	return none
}

// link puts a run where find sees it.
func (t *Table) link(i int32, bucket uint32) {
	r := &t.runs[i]
	r.bucket, r.inTable = bucket, true
	r.sameHash = t.buckets[bucket]
	t.buckets[bucket] = i
}

// unlink closes a run, or drops a fence.
func (t *Table) unlink(i int32) {
	r := &t.runs[i]
	at := &t.buckets[r.bucket]
	for *at != i {
		at = &t.runs[*at].sameHash
	}
	*at = r.sameHash
	r.inTable = false
	if r.fence {
		t.fences--
	}
}

// findFence returns the last fragment of k's addresses and protocol, or none.
func (t *Table) findFence(bucket uint32, k *flowKey) int32 {
	for i := t.buckets[bucket]; i != none; i = t.runs[i].sameHash {
		if r := &t.runs[i]; r.fence && r.f.key == *k {
			return i
		}
	}
	return none
}

// addFence takes a fragment. Which runs it closes is found out when a packet
// wants to join one, so that a flood of fragments costs no search.
func (t *Table) addFence(p *Packet, f *facts) {
	f.key = f.key.portless()
	bucket := t.bucket(t.hasher.key(&f.key))
	if i := t.findFence(bucket, &f.key); i != none {
		t.unlink(i)
	}
	i := t.push(p, f, true)
	t.runs[i].fence = true
	t.link(i, bucket)
	t.fences++
}

// fenced reports whether a fragment came since r was begun: of its protocol, or
// one that may be.
func (t *Table) fenced(r *Run) bool {
	if t.fences == 0 {
		return false
	}
	k := r.f.key.portless()
	for _, proto := range [...]uint8{k.proto, protoHidden} {
		k.proto = proto
		i := t.findFence(t.bucket(t.hasher.key(&k)), &k)
		if i != none && t.runs[i].begun > r.begun {
			return true
		}
	}
	return false
}

// push appends a run of one packet to the order of leaving. Unless join or
// findFence is going to look at it, its place in that order is all that is kept.
func (t *Table) push(p *Packet, f *facts, keep bool) int32 {
	i := t.freeRun
	if i != none {
		t.freeRun = t.runs[i].later
	} else {
		t.runs = append(t.runs, Run{})
		i = int32(len(t.runs) - 1)
	}
	r := &t.runs[i]
	r.ID, r.Count = p.ID, 1
	r.firstMember, r.lastMember, r.later = none, none, none
	r.inTable, r.fence = false, false
	if keep {
		r.begin(t, p, f)
	}
	if t.newest == none {
		t.oldest = i
	} else {
		t.runs[t.newest].later = i
	}
	t.newest = i
	return i
}

// begin notes what join and findFence have to know of a run's first packet.
func (r *Run) begin(t *Table, p *Packet, f *facts) {
	size := f.end - f.payload
	r.t, r.head, r.tail, r.f, r.begun = t, p.Head, p.Tail, *f, t.clock
	r.Transport = tcpip.TransportProtocolNumber(f.key.proto)
	r.SegmentSize, r.PayloadLen = size, size
	r.LinkHdrLen, r.HeaderLen = p.LinkHdrLen, f.payload
	r.Vouched, r.FixedID = p.Vouched, false
	r.flags, r.ids, r.sum = 0, idOpen, 0
	if f.verdict == Started && f.key.proto == protoTCP {
		r.nextSeq = binary.BigEndian.Uint32(p.Head[f.l4+tcpSeq:]) + uint32(size)
	}
}

// releasePopped makes the storage of the run last handed out free again.
func (t *Table) releasePopped() {
	if t.popped == none {
		return
	}
	r := &t.runs[t.popped]
	if r.firstMember != none {
		t.members[r.lastMember].next = t.freeMember
		t.freeMember = r.firstMember
	}
	r.later = t.freeRun
	t.freeRun = t.popped
	t.popped = none
}

// reset forgets everything that an empty Table still refers to.
func (t *Table) reset() {
	clear(t.runs)
	clear(t.members)
	t.runs, t.members = t.runs[:0], t.members[:0]
	t.freeRun, t.freeMember = none, none
	t.local.known = false
}
