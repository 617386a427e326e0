package tasktype

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// Bounds of one exchange, inside those of the task's own timeout.
const (
	dialTimeout      = 10 * time.Second
	tlsTimeout       = 10 * time.Second
	headerTimeout    = 5 * time.Minute
	maxHeaderBytes   = 64 << 10
	defaultUserAgent = "timewheel"
)

// newTransport makes the one way out to the network: it sends every request at
// most once, follows no redirect, asks no proxy, and reaches public addresses
// only unless allowPrivate.
//
// net/http repeats a request by itself when a connection that it reused dies
// before the answer: GET and the like, and anything that carries an
// Idempotency-Key. It never repeats on a connection of its first use, so no
// connection is used a second time. HTTP/2, which repeats on its own rules,
// is off. RoundTrip is called directly, as it knows neither redirects nor
// url.Error, which would quote the URL.
func newTransport(allowPrivate bool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !allowPrivate {
		dialer.Control = refusePrivate
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		DisableKeepAlives:      true,
		Protocols:              &http1,
		DisableCompression:     true,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// newRequest builds a request that cannot be repeated: without GetBody there
// is nothing to rewind a body with.
func newRequest(ctx context.Context, t *task.Task, method string, target *url.URL, body []byte) *http.Request {
	request := &http.Request{
		Method:     method,
		URL:        target,
		Host:       target.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{},
	}
	if len(body) > 0 {
		request.Body = io.NopCloser(bytes.NewReader(body))
		request.ContentLength = int64(len(body))
	}
	request.Header.Set("User-Agent", defaultUserAgent)
	request.Header.Set("X-Task-Id", t.ID.String())
	request.Header.Set("X-Task-Attempt", strconv.Itoa(t.Attempt))
	return request.WithContext(ctx)
}

// refusePrivate is a net.Dialer.Control: it sees the address after the name
// was resolved and just before the connection is made, so that no answer of
// DNS, however it changes, gets past it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read dial address: %w", err)
	}
	if !public(target.Addr()) {
		return fmt.Errorf("address %s is not public, and WEBHOOK_ALLOW_PRIVATE is not set", target.Addr())
	}
	return nil
}

// special lists what the address registries set apart inside the ranges that
// public admits otherwise, and one cloud's metadata service in public space.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32",
	// 6to4, Teredo and ORCHID carry an IPv4 address or none that is routed.
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	globalSpace = netip.MustParsePrefix("2000::/3")
)

// public reports whether anyone on the internet could reach addr as well.
func public(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	for _, prefix := range special {
		if prefix.Contains(addr) {
			return false
		}
	}
	return addr.Is4() || globalSpace.Contains(addr)
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}
