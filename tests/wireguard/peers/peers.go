// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package peers joins two devices by WireGuard over loopback UDP: two complete
// wireguard-go peers in one process.
package peers

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// Pair is two joined peers.
type Pair struct {
	a, b *device.Device
}

// Join has everything that either device sends arrive at the other. The devices
// are the Pair's: Close closes them, and so does an error.
func Join(a, b tun.Device) (*Pair, error) {
	p := &Pair{a: newDevice(a), b: newDevice(b)}
	if err := p.configure(); err != nil {
		p.Close()
		return nil, fmt.Errorf("peers: %w", err)
	}
	return p, nil
}

func newDevice(d tun.Device) *device.Device {
	quiet := &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf}
	return device.NewDevice(d, conn.NewDefaultBind(), quiet)
}

// Close closes both peers and their devices.
func (p *Pair) Close() {
	p.a.Close()
	p.b.Close()
}

func (p *Pair) configure() error {
	keyA, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keyB, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	portA, err := start(p.a, keyA)
	if err != nil {
		return err
	}
	portB, err := start(p.b, keyB)
	if err != nil {
		return err
	}
	if err := meet(p.a, keyB, portB); err != nil {
		return err
	}
	return meet(p.b, keyA, portA)
}

// start brings a peer up and returns its port.
func start(d *device.Device, key *ecdh.PrivateKey) (port string, err error) {
	if err := d.IpcSet("private_key=" + hex.EncodeToString(key.Bytes()) + "\nlisten_port=0\n"); err != nil {
		return "", err
	}
	if err := d.Up(); err != nil {
		return "", err
	}
	state, err := d.IpcGet()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(state) {
		if port, ok := strings.CutPrefix(strings.TrimSpace(line), "listen_port="); ok {
			return port, nil
		}
	}
	return "", fmt.Errorf("a peer that is up has no port")
}

// meet tells d of the peer with key at port.
func meet(d *device.Device, key *ecdh.PrivateKey, port string) error {
	return d.IpcSet("public_key=" + hex.EncodeToString(key.PublicKey().Bytes()) +
		"\nendpoint=127.0.0.1:" + port + "\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n")
}
