package wheel_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit/proxy"
)

// losingProxy stands between a wheel and Redis, and loses a reply when it is told to.
type losingProxy struct {
	proxy.Proxy

	mu   sync.Mutex
	doom doom
	lost chan struct{} // closed with the first reply that is lost
}

// doom is what becomes of the next reply.
type doom int

const (
	forwarded doom = iota
	cut            // it is swallowed and the connection ends
	silent         // it is swallowed and the connection stays
)

// newProxy returns the proxy and the URL of the same Redis through it.
func newProxy(t *testing.T, redisURL string) (*losingProxy, string) {
	t.Helper()
	parsed, err := url.Parse(redisURL)
	require.NoError(t, err)
	server := parsed.Host
	p := &losingProxy{lost: make(chan struct{})}
	require.NoError(t, p.Start(func() string { return server }, p.relay))
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	parsed.Host = p.Addr()
	return p, parsed.String()
}

// lose dooms the next reply of any connection.
func (p *losingProxy) lose(d doom) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doom = d
}

// relay forwards what the server says. The replies of these tests are small and never
// overlap, so that one read is one reply.
func (p *losingProxy) relay(client, server net.Conn) {
	p.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
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

func (p *losingProxy) fate() doom {
	p.mu.Lock()
	defer p.mu.Unlock()
	fate := p.doom
	p.doom = forwarded
	if fate != forwarded {
		close(p.lost)
	}
	return fate
}
