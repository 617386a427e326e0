package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// cancelRequest is the code that a client sends to have a statement cancelled.
const cancelRequest = 80877102

// proxy stands between a client and Postgres and breaks connections as a
// network does. It never lets a cancel request through, so a statement that
// the client has given up goes on.
type proxy struct {
	t      *testing.T
	server string
	listen net.Listener
	pumps  sync.WaitGroup

	mu      sync.Mutex
	clients map[net.Conn]bool
	servers map[net.Conn]bool
	silent  map[net.Conn]bool // clients that hear nothing any more
	doomed  string            // the command whose reply is to be lost
	replied func()            // called instead, if set
	lost    int
}

// newProxy returns the proxy and the URL of the same database through it.
func newProxy(t *testing.T, databaseURL string) (*proxy, string) {
	t.Helper()
	parsed, err := url.Parse(databaseURL)
	require.NoError(t, err)
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{
		t: t, server: parsed.Host, listen: listen,
		clients: map[net.Conn]bool{}, servers: map[net.Conn]bool{}, silent: map[net.Conn]bool{},
	}
	p.pumps.Go(p.accept)
	t.Cleanup(p.close)
	parsed.Host = listen.Addr().String()
	query := parsed.Query()
	query.Set("sslmode", "disable") // the proxy reads along
	parsed.RawQuery = query.Encode()
	return p, parsed.String()
}

// loseReply lets the next statement with this command tag commit, and breaks
// the connection instead of forwarding that it did.
func (p *proxy) loseReply(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = command
}

// onReply lets the next statement with this command tag commit, calls f, and breaks
// the connection.
func (p *proxy) onReply(command string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed, p.replied = command, f
}

// losses counts the replies that were lost.
func (p *proxy) losses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// cut breaks every connection for the clients. The server learns nothing of
// it: its statements go on, wait for locks, and commit.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.clients {
		_ = client.Close()
	}
}

// swallow lets the connections that there are hear nothing any more, as a
// firewall does that has forgotten them. New ones work.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.clients {
		p.silent[client] = true
	}
}

func (p *proxy) hears(client net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.silent[client]
}

func (p *proxy) close() {
	_ = p.listen.Close()
	p.cut()
	p.mu.Lock()
	for server := range p.servers {
		_ = server.Close()
	}
	p.mu.Unlock()
	p.pumps.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	opening := make([]byte, 8) // length and code
	if _, err := io.ReadFull(client, opening); err != nil || binary.BigEndian.Uint32(opening[4:]) == cancelRequest {
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server)
	if err != nil {
		p.t.Errorf("reach Postgres behind the proxy: %v", err)
		return
	}
	p.mu.Lock()
	p.clients[client], p.servers[server] = true, true
	p.mu.Unlock()
	p.pumps.Go(func() { p.replies(client, server) })
	if _, err := server.Write(opening); err != nil {
		return
	}
	_, _ = io.Copy(server, client)
}

// replies forwards what the server says until the server ends. A client that
// has gone does not end it.
func (p *proxy) replies(client, server net.Conn) {
	defer func() {
		_ = server.Close()
		_ = client.Close()
	}()
	frontend := pgproto3.NewFrontend(server, nil)
	lost := false
	for {
		message, err := frontend.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) {
				p.t.Errorf("read from Postgres: %v", err)
			}
			return
		}
		switch message := message.(type) {
		case *pgproto3.CommandComplete:
			lost = lost || p.loses(string(message.CommandTag))
		case *pgproto3.ReadyForQuery:
			if lost { // and committed by now
				return
			}
		}
		if lost || !p.hears(client) {
			continue
		}
		encoded, err := message.Encode(nil)
		if err != nil {
			p.t.Errorf("encode a reply: %v", err)
			return
		}
		_, _ = client.Write(encoded) // it may have gone
	}
}

func (p *proxy) loses(tag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doomed == "" || !strings.HasPrefix(tag, p.doomed) {
		return false
	}
	p.doomed = ""
	if p.replied != nil {
		p.replied()
	}
	p.lost++
	return true
}
