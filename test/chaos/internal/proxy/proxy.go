// Package proxy stands between the system and its stores, and does to their
// connections what networks and dying servers do.
package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// base is what both proxies have in common: a listener, the connections, and
// whether they are let through.
type base struct {
	listener net.Listener
	target   func() string
	serve    func(client, server net.Conn)

	refuse  atomic.Bool  // new connections are closed at once
	stalled atomic.Bool  // nothing goes through
	delay   atomic.Int64 // added to each reply, in nanoseconds

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

// start listens on loopback and serves until close. target is asked for each
// connection.
func (b *base) start(target func() string, serve func(client, server net.Conn)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return err
	}
	b.listener, b.target, b.serve, b.conns = listener, target, serve, map[net.Conn]bool{}
	b.done.Go(b.accept)
	return nil
}

func (b *base) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		if b.refuse.Load() {
			_ = client.Close() // that is the refusal
			continue
		}
		b.done.Go(func() { b.connect(client) })
	}
}

func (b *base) connect(client net.Conn) {
	defer b.forget(client)
	if !b.keep(client) {
		return
	}
	server, err := net.DialTimeout("tcp", b.target(), 2*time.Second) //nolint:noctx // bounded by itself
	if err != nil {
		return // to the client the server looks as down as it is
	}
	defer b.forget(server)
	if b.keep(server) {
		b.serve(client, server)
	}
}

func (b *base) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		_ = c.Close()
		return false
	}
	b.conns[c] = true
	return true
}

func (b *base) forget(c net.Conn) {
	_ = c.Close() // a connection that ends badly is what we are here for
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// Cut closes every connection that there is.
func (b *base) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Close()
	}
}

// Refuse closes every connection at once, and each new one, until it is called
// with false.
func (b *base) Refuse(on bool) {
	b.refuse.Store(on)
	if on {
		b.Cut()
	}
}

// Stall lets nothing through while on: the store is there and does not answer.
func (b *base) Stall(on bool) { b.stalled.Store(on) }

// Delay adds d to every reply.
func (b *base) Delay(d time.Duration) { b.delay.Store(int64(d)) }

// hold keeps a reply back for as long as it is meant to take.
func (b *base) hold() {
	if d := b.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	for b.stalled.Load() {
		time.Sleep(5 * time.Millisecond)
	}
}

// Addr is where clients connect.
func (b *base) Addr() string { return b.listener.Addr().String() }

// Close ends the proxy and all of its connections.
func (b *base) Close() error {
	err := b.listener.Close()
	b.stalled.Store(false)
	b.Cut()
	b.mu.Lock()
	b.conns = nil
	b.mu.Unlock()
	b.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// pump copies one direction, whole reads at a time, until either side ends.
// look may refuse to pass a chunk on, which ends the connection.
func (b *base) pump(to io.Writer, from io.Reader, look func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !look(buffer[:n]) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
