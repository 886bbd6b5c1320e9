// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// The command starts as this program, in a new user and network namespace: it makes
// the TUN there, hands its descriptor to the relay over a socket, waits until the
// relay works, and becomes the command.
const (
	roleVariable = "RELAY_ROLE"
	roleCell     = "cell"

	// cellSocket is the descriptor of the socket to the relay.
	cellSocket = 3
)

// cell is the process in the namespace, as the relay sees it.
type cell struct {
	cmd    *exec.Cmd
	socket int
}

// A hello is what the cell says with the descriptors.
type hello struct {
	Error   string
	Name    string
	MTU     uint32
	VnetHdr bool
}

func startCell(ctx context.Context, o *options, std streams) (*cell, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Messages keep their boundaries, and the end of a process is seen.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socketpair")
	defer theirs.Close()
	told, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := &cell{cmd: exec.CommandContext(ctx, self, string(told)), socket: pair[0]}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+roleCell)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = std.in, std.out, std.err
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.SysProcAttr = newNamespaces()
	if err := c.cmd.Start(); err != nil {
		unix.Close(c.socket)
		return nil, &unavailableError{fmt.Sprintf("starting a process in a new network namespace: %v", err)}
	}
	return c, nil
}

// newNamespaces makes a process the same user as before, who has all rights in a
// user and a network namespace of its own.
func newNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN},
	}
}

// device waits for the TUN of the cell. Its descriptor is the caller's.
func (c *cell) device() (*rawlink.Config, error) {
	msg, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, nr, _, _, err := unix.Recvmsg(c.socket, msg, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("waiting for the TUN: %w", err)
	}
	var h hello
	if err := json.Unmarshal(msg[:n], &h); err != nil {
		return nil, fmt.Errorf("the process in the namespace has ended early")
	}
	if h.Error != "" {
		return nil, &unavailableError{h.Error}
	}
	fds, err := descriptors(rights[:nr])
	if err != nil {
		return nil, err
	}
	return &rawlink.Config{FDs: fds, Name: h.Name, MTU: h.MTU, VnetHdr: h.VnetHdr}, nil
}

func descriptors(rights []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the TUN came without a descriptor: %v", err)
	}
	return unix.ParseUnixRights(&messages[0])
}

// release has the cell become the command.
func (c *cell) release() error {
	_, err := unix.Write(c.socket, []byte{1})
	unix.Close(c.socket)
	c.socket = -1
	return err
}

// kill ends the process and waits for it, if that has not been done.
func (c *cell) kill() {
	if c.socket >= 0 {
		unix.Close(c.socket)
	}
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// playRole does the work of the process in the namespace.
func playRole() (code int, ok bool) {
	if os.Getenv(roleVariable) != roleCell {
		return 0, false
	}
	var o options
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		fmt.Fprintf(os.Stderr, "relay: reading options: %v\n", err)
		return codeFailed, true
	}
	unix.CloseOnExec(cellSocket)
	if !offerDevice(&o) {
		return codeFailed, true
	}
	if n, err := unix.Read(cellSocket, make([]byte, 1)); n != 1 || err != nil {
		return codeFailed, true // the relay is gone
	}
	err := become(o.Command)
	fmt.Fprintf(os.Stderr, "relay: %v\n", err)
	return 127, true // as a shell does
}

// offerDevice makes the TUN and hands it to the relay, or tells it why not.
func offerDevice(o *options) bool {
	cfg, err := openDevice(o)
	h := hello{}
	var rights []byte
	if err != nil {
		h.Error = err.Error()
	} else {
		h.Name, h.MTU, h.VnetHdr = cfg.Name, cfg.MTU, cfg.VnetHdr
		rights = unix.UnixRights(cfg.FDs[0])
	}
	told, _ := json.Marshal(h) // strings and numbers
	if sendErr := unix.Sendmsg(cellSocket, told, rights, nil, 0); sendErr != nil {
		return false
	}
	return err == nil
}

// become is the command from now on. It returns only with an error.
func become(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	// The command needs no rights over the device. They are the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up rights: %w", err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, roleVariable+"=") })
	return syscall.Exec(path, command, env)
}
