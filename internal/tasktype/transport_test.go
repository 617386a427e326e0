package tasktype_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/tasktype"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// hangsUp answers the first request it gets, and keeps that connection open.
// It reads every later request and closes the connection without an answer:
// just what makes net/http send a request again.
func hangsUp(t *testing.T) (url string, arrivals *atomic.Int64) {
	t.Helper()
	listener := listen(t)
	arrivals = new(atomic.Int64)
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(reader)
					if err != nil || arrivals.Add(1) > 1 {
						return
					}
					_ = request.Body.Close()
					if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(connections.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return "http://" + listener.Addr().String(), arrivals
}

func TestARequestIsSentOnce(t *testing.T) {
	for name, payload := range map[string]string{
		"get":             `{"url":"URL","method":"GET"}`,
		"delete":          `{"url":"URL","method":"DELETE","headers":{"Idempotency-Key":"k"}}`,
		"key":             `{"url":"URL","headers":{"Idempotency-Key":"k"}}`,
		"key and body":    `{"url":"URL","headers":{"Idempotency-Key":"k"},"body":"b"}`,
		"other key, body": `{"url":"URL","method":"PUT","headers":{"X-Idempotency-Key":"k"},"body":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			url, arrivals := hangsUp(t)
			r := registry(nil, tasktype.Options{AllowPrivate: true})
			payload := strings.ReplaceAll(payload, "URL", url)

			_, _, err := runOn(t, r, "webhook", payload)
			require.NoError(t, err)
			require.EqualValues(t, 1, arrivals.Load())

			_, result, err := runOn(t, r, "webhook", payload)
			require.Error(t, err)
			require.Nil(t, result)
			require.EqualValues(t, 2, arrivals.Load(), "the request was sent again")
		})
	}
	t.Run("bar", func(t *testing.T) {
		url, arrivals := hangsUp(t)
		r := registry(nil, tasktype.Options{AllowPrivate: true, BarURL: url})
		_, _, err := runOn(t, r, "bar", "")
		require.NoError(t, err)
		_, _, err = runOn(t, r, "bar", "")
		require.Error(t, err)
		require.EqualValues(t, 2, arrivals.Load(), "the request was sent again")
	})
	t.Run("an ordinary transport does repeat", func(t *testing.T) {
		url, arrivals := hangsUp(t)
		ordinary := &http.Transport{}
		defer ordinary.CloseIdleConnections()
		for range 2 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
			require.NoError(t, err)
			response, err := ordinary.RoundTrip(request)
			if err == nil {
				require.NoError(t, response.Body.Close())
			}
		}
		require.EqualValues(t, 3, arrivals.Load(), "the server above does not provoke what it should")
	})
}

func TestPrivateTargetsAreRefused(t *testing.T) {
	url, arrivals := hangsUp(t)
	r := registry(nil, tasktype.Options{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "[64:ff9b::7f00:1]"} {
		for _, taskType := range []string{"webhook", "bar"} {
			_, _, err := runOn(t, r, taskType, `{"url":"http://`+host+":"+port+`/"}`)
			require.ErrorContains(t, err, "is not public", host)
		}
	}
	require.Zero(t, arrivals.Load())
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	proxy, atProxy := hangsUp(t)
	target, atTarget := hangsUp(t)
	// Loopback names are never proxied, but this one is.
	target = strings.Replace(target, "127.0.0.1", "0.0.0.0", 1)
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	_, _, err := run(t, "webhook", `{"url":"`+target+`"}`)
	require.NoError(t, err)
	require.Zero(t, atProxy.Load())
	require.EqualValues(t, 1, atTarget.Load())
}

func TestAnAttemptEndsWithItsContext(t *testing.T) {
	listener := listen(t) // accepts, and never answers
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	do, _ := registry(nil, tasktype.Options{AllowPrivate: true}).Lookup("webhook")
	go func() {
		_, err := do(ctx, taskWith(`{"url":"http://`+listener.Addr().String()+`"}`))
		ended <- err
	}()
	conn, err := listener.Accept()
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestPublicAddresses(t *testing.T) {
	for _, addr := range []string{
		"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.0", "169.253.0.1", "223.255.255.255",
		"2606:4700:4700::1111", "2a00:1450:4001::200e", "64:ff9b::808:808", "::ffff:8.8.8.8",
	} {
		require.True(t, tasktype.Public(netip.MustParseAddr(addr)), addr)
	}
	for _, addr := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "fc00::1",
		"fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1",
	} {
		require.False(t, tasktype.Public(netip.MustParseAddr(addr)), addr)
	}
}
