package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// The command prints its address first, carries, answers commands, and ends
// with its stdin if it is told to.
func TestCommand(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	in, tell := io.Pipe()
	said, out := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() {
		args := []string{"--to", server.Addr().String(), "--rate", "100mbit", "--up", "10mbit", "--delay", "1ms", "--stdin"}
		if err := run(context.Background(), args, in, out); err != nil {
			t.Errorf("run: %v", err)
		}
		out.Close()
	})
	answers := bufio.NewReader(said)
	answer := func() string {
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	client, err := net.Dial("tcp", answer())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	client.Write([]byte("hello"))
	if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ line, want string }{
		{"stats", "up 5 down 0 open 1 opened 1"},
		{"rate 1mbit", "ok"},
		{"rate 1mbit 8mbit", "ok"},
		{"rate much", "error: "},
		{"rate", "error: the wrong arguments: say rate RATE [DOWN]"},
		{"delay 2ms 1ms", "ok"},
		{"delay soon", "error: "},
		{"loss 0.01", "ok"},
		{"loss 2", "error: "},
		{"wait 1ms", "ok"},
		{"stall 1ms", "ok"},
		{"cut reset", "ok"},
		{"restore", "ok"},
		{"dance", "error: "},
	} {
		if _, err := io.WriteString(tell, step.line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := answer(); !strings.HasPrefix(got, step.want) {
			t.Errorf("%q was answered with %q, must be %q", step.line, got, step.want)
		}
	}
	tell.Close()
	running.Wait()
}

func TestParse(t *testing.T) {
	s, err := parse([]string{"--to", "a:1", "--rate", "20mbit", "--down", "5mbit", "--stall", "2s/30s"})
	if err != nil {
		t.Fatal(err)
	}
	if s.options.Up.String() != "20mbit" || s.options.Down.String() != "5mbit" {
		t.Errorf("up is %v and down %v, must be 20mbit and 5mbit", s.options.Up, s.options.Down)
	}
	if s.pattern.length != 2*time.Second || s.pattern.period != 30*time.Second {
		t.Errorf("the stall pattern is %v", s.pattern)
	}
}
