package wheel_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a wheel and Redis, and loses a reply when it is told to.
type proxy struct {
	t      *testing.T
	server string
	listen net.Listener
	pumps  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	doom  doom
	lost  chan struct{} // closed with the first reply that is lost
}

// doom is what becomes of the next reply.
type doom int

const (
	forwarded doom = iota
	cut            // it is swallowed and the connection ends
	silent         // it is swallowed and the connection stays
)

// newProxy returns the proxy and the URL of the same Redis through it.
func newProxy(t *testing.T, redisURL string) (*proxy, string) {
	t.Helper()
	parsed, err := url.Parse(redisURL)
	require.NoError(t, err)
	var config net.ListenConfig
	listen, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, server: parsed.Host, listen: listen, lost: make(chan struct{})}
	p.pumps.Go(p.accept)
	t.Cleanup(p.close)
	parsed.Host = listen.Addr().String()
	return p, parsed.String()
}

// lose dooms the next reply of any connection.
func (p *proxy) lose(d doom) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doom = d
}

func (p *proxy) close() {
	_ = p.listen.Close()
	p.mu.Lock()
	for _, conn := range p.conns {
		_ = conn.Close()
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
		var dialer net.Dialer
		server, err := dialer.DialContext(p.t.Context(), "tcp4", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.pumps.Go(func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		})
		p.pumps.Go(func() {
			p.replies(client, server)
			_ = client.Close()
			_ = server.Close()
		})
	}
}

// replies forwards what the server says. The replies of these tests are small
// and never overlap, so that one read is one reply.
func (p *proxy) replies(client, server net.Conn) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		switch p.fate() {
		case cut:
			return
		case silent:
			continue
		case forwarded:
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

func (p *proxy) fate() doom {
	p.mu.Lock()
	defer p.mu.Unlock()
	fate := p.doom
	p.doom = forwarded
	if fate != forwarded {
		close(p.lost)
	}
	return fate
}
