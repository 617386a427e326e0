package postgres_test

import (
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

	"github.com/timewheel/timewheel/test/testkit/proxy"
)

// cancelRequest is the code that a client sends to have a statement cancelled.
const cancelRequest = 80877102

// losingProxy stands between a client and Postgres and breaks connections as a
// network does. It never lets a cancel request through, so a statement that
// the client has given up goes on.
type losingProxy struct {
	proxy.Proxy
	t *testing.T

	mu      sync.Mutex
	clients map[net.Conn]bool
	silent  map[net.Conn]bool // clients that hear nothing any more
	doomed  string            // the command whose reply is to be lost
	replied func()            // called instead, if set
	lost    int
}

// newProxy returns the proxy and the URL of the same database through it.
func newProxy(t *testing.T, databaseURL string) (*losingProxy, string) {
	t.Helper()
	parsed, err := url.Parse(databaseURL)
	require.NoError(t, err)
	server := parsed.Host
	p := &losingProxy{t: t, clients: map[net.Conn]bool{}, silent: map[net.Conn]bool{}}
	require.NoError(t, p.Start(func() string { return server }, p.relay))
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	parsed.Host = p.Addr()
	query := parsed.Query()
	query.Set("sslmode", "disable") // the proxy reads along
	parsed.RawQuery = query.Encode()
	return p, parsed.String()
}

// loseReply lets the next statement with this command tag commit, and breaks
// the connection instead of forwarding that it did.
func (p *losingProxy) loseReply(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = command
}

// onReply lets the next statement with this command tag commit, calls f, and breaks
// the connection.
func (p *losingProxy) onReply(command string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed, p.replied = command, f
}

// losses counts the replies that were lost.
func (p *losingProxy) losses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// cut breaks every connection for the clients. The server learns nothing of
// it: its statements go on, wait for locks, and commit.
func (p *losingProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.clients {
		_ = client.Close()
	}
}

// swallow lets the connections that there are hear nothing any more, as a
// firewall does that has forgotten them. New ones work.
func (p *losingProxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.clients {
		p.silent[client] = true
	}
}

func (p *losingProxy) hears(client net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.silent[client]
}

func (p *losingProxy) relay(client, server net.Conn) {
	opening := make([]byte, 8) // length and code
	if _, err := io.ReadFull(client, opening); err != nil || binary.BigEndian.Uint32(opening[4:]) == cancelRequest {
		return
	}
	p.mu.Lock()
	p.clients[client] = true
	p.mu.Unlock()
	p.Go(func() {
		if _, err := server.Write(opening); err == nil {
			_, _ = io.Copy(server, client)
		}
	})
	p.replies(client, server)
}

// replies forwards what the server says until the server ends. A client that
// has gone does not end it.
func (p *losingProxy) replies(client, server net.Conn) {
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

func (p *losingProxy) loses(tag string) bool {
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
