// Package proxy stands between the system and its stores, and does to their
// connections what networks and dying servers do. Proxy is what all of its kinds have
// in common; Postgres and Redis read along.
package proxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a listener, its connections, and whether they are let through.
type Proxy struct {
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

// Start listens on loopback until Close. For each connection it asks for the target, and
// lets serve relay it until either side ends.
func (p *Proxy) Start(target func() string, serve func(client, server net.Conn)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return err
	}
	p.listener, p.target, p.serve, p.conns = listener, target, serve, map[net.Conn]bool{}
	p.done.Go(p.accept)
	return nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.connect(client) })
	}
}

func (p *Proxy) connect(client net.Conn) {
	defer p.forget(client)
	if !p.keep(client) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target(), 2*time.Second) //nolint:noctx // bounded by itself
	if err != nil {
		return // to the client the server looks as down as it is
	}
	defer p.forget(server)
	if p.keep(server) {
		p.serve(client, server)
	}
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse.Load() {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	_ = c.Close() // a connection that ends badly is what we are here for
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Cut closes every connection that there is.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Refuse closes every connection at once, and each new one, until it is called
// with false.
func (p *Proxy) Refuse(on bool) {
	p.refuse.Store(on)
	if on {
		p.Cut()
	}
}

// Stall lets nothing through while on: the store is there and does not answer.
func (p *Proxy) Stall(on bool) { p.stalled.Store(on) }

// Delay adds d to every reply.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Go runs a part of a relay that Close waits for.
func (p *Proxy) Go(f func()) { p.done.Go(f) }

// Hold keeps a reply back for as long as it is meant to take.
func (p *Proxy) Hold() {
	if d := p.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	for p.stalled.Load() {
		time.Sleep(5 * time.Millisecond)
	}
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and all of its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.stalled.Store(false)
	p.Refuse(true)
	p.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
