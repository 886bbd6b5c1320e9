// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package readme_test compiles the Go code of README.md.
//
// Every block between ```go and ``` is compiled. A block of declarations is a file
// of its own; any other is the body of a function. It needs no imports and no
// package clause: the packages of the table imports are imported where they are
// used, and the variables of the table variables are there. Variables that are
// declared and not used are no error. A block that uses wireguard-go is compiled in
// the module tests/wireguard, all others in the library's.
package readme_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/netstack-offload/netstack-offload"
	tcpip  = "gvisor.dev/gvisor/pkg/tcpip"
)

// imports are the packages that a block may use, by name.
var imports = map[string]string{
	"context": "context", "fmt": "fmt", "log": "log", "net": "net", "netip": "net/netip",
	"unix":  "golang.org/x/sys/unix",
	"tcpip": tcpip, "header": tcpip + "/header", "stack": tcpip + "/stack",
	"channel": tcpip + "/link/channel", "fdbased": tcpip + "/link/fdbased",
	"tcp": tcpip + "/transport/tcp", "udp": tcpip + "/transport/udp",
	"endpoint": module + "/endpoint", "memlink": module + "/endpoint/memlink", "rawlink": module + "/endpoint/rawlink",
	"conn": wireguard + "/conn", "device": wireguard + "/device", "wgnet": module + "/tests/wireguard/wgnet",
}

const wireguard = "golang.zx2c4.com/wireguard"

// variables are those that a block may use without declaring them.
var variables = map[string]string{
	"s": "*stack.Stack", "fd": "int", "link": "*memlink.Link", "mtu": "uint32",
	"ctx": "context.Context", "pkt": "*stack.PacketBuffer", "protocol": "tcpip.NetworkProtocolNumber",
	"bufs": "[][]byte", "packets": "[][]byte", "sizes": "[]int", "offset": "int",
	"addrs": "[]netip.Addr", "dns": "[]netip.Addr", "logger": "*device.Logger",
}

var fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// block is a piece of Go in the README.
type block struct {
	line int // its first
	text string
}

func blocks(readme string) (found []block) {
	for _, at := range fence.FindAllStringSubmatchIndex(readme, -1) {
		found = append(found, block{1 + strings.Count(readme[:at[2]], "\n"), readme[at[2]:at[3]]})
	}
	return found
}

func TestBlocksCompile(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := blocks(string(readme))
	if len(found) == 0 {
		t.Fatal("README.md has no Go code: this test has lost its subject")
	}
	for _, b := range found {
		t.Run(fmt.Sprint("line ", b.line), func(t *testing.T) {
			out, err := b.compile(t)
			if err != nil && strings.Contains(out, "GOPROXY=off") {
				t.Skip("wireguard-go has not been downloaded: run the tests of tests/wireguard first")
			}
			if err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// The test would find what is wrong.
func TestWrongBlocks(t *testing.T) {
	for _, text := range []string{
		"endpoint.New(link)", "endpoint.NoSuchName()", "unknown.New()", "x := nothing", "if {", "func f() int {}",
	} {
		if out, err := (&block{1, text}).compile(t); err == nil {
			t.Errorf("%q compiles: %s", text, out)
		}
	}
	text := "func f(link *memlink.Link) stack.LinkEndpoint { return endpoint.New(link, nil) }"
	if out, err := (&block{1, text}).compile(t); err != nil {
		t.Errorf("%q: %v: %s", text, err, out)
	}
}

// compile builds the block as a package that exists for the compiler only.
func (b *block) compile(t *testing.T) (output string, err error) {
	t.Helper()
	source, dir, err := b.source()
	if err != nil {
		return "", err
	}
	scratch := t.TempDir()
	file, overlay := filepath.Join(scratch, "block.go"), filepath.Join(scratch, "overlay.json")
	place, err := filepath.Abs(filepath.Join(dir, "readmeblock", "block.go"))
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
	if err != nil {
		return "", err
	}
	for name, data := range map[string][]byte{file: source, overlay: replace} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", os.DevNull, "./readmeblock")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// source makes a file of the block, and says in which directory it belongs.
func (b *block) source() (source []byte, dir string, err error) {
	body := b.text
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, 0); err != nil {
		body = "func _() {\n" + body + "\n"
		f, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body+"}\n", 0)
		if err != nil {
			return nil, "", err
		}
		// Used, so that what is only declared is no error.
		for _, name := range declared(f) {
			body += "_ = " + name + "\n"
		}
		body += "}\n"
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, 0)
	if err != nil {
		return nil, "", err
	}
	var given strings.Builder
	for _, name := range undeclared(f) {
		if kind, ok := variables[name]; ok {
			fmt.Fprintf(&given, "var %s %s\n", name, kind)
		}
	}
	body = given.String() + body
	if f, err = parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, 0); err != nil {
		return nil, "", err
	}
	dir = "."
	var out bytes.Buffer
	out.WriteString("package p\n")
	for _, name := range undeclared(f) {
		path, ok := imports[name]
		if !ok || !strings.Contains(body, name+".") {
			continue
		}
		fmt.Fprintf(&out, "import %q\n", path)
		if strings.Contains(path, "wireguard") {
			dir = "../wireguard"
		}
	}
	out.WriteString(body)
	return out.Bytes(), dir, nil
}

// declared returns the variables that the statements of the first function declare.
func declared(f *ast.File) []string {
	names := map[string]bool{}
	for _, statement := range f.Decls[0].(*ast.FuncDecl).Body.List {
		if assign, ok := statement.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, left := range assign.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name != "_" {
					names[id.Name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// undeclared returns the names that the file uses and does not declare.
func undeclared(f *ast.File) []string {
	names := map[string]bool{}
	for _, id := range f.Unresolved {
		names[id.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
