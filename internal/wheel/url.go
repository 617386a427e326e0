package wheel

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The errors say nothing of what the URL holds: its passwords must reach no log.
var (
	errURL = errors.New("REDIS_URL cannot be read as redis://user:password@host:port/database: percent-encode what is" +
		" special in the user and the password")
	errSentinelURL = errors.New("REDIS_URL cannot be read as" +
		" redis+sentinel://user:password@host:port,host:port/master/database: percent-encode what is special")
	errClusterURL = errors.New("REDIS_URL cannot be read as redis+cluster://user:password@host:port,host:port, which names no" +
		" database: percent-encode what is special in the user and the password")
)

// The ports of hosts that name none.
const defaultPort, defaultSentinelPort = "6379", "26379"

// ParseURL reads how Redis is reached: a single server as redis.ParseURL reads it, or
//
//	redis+sentinel://user:password@host:26379,host:26379/master/0?sentinel_username=&sentinel_password=
//	redis+cluster://user:password@host:6379,host:6379
//
// and rediss+... for TLS. User and password are those of the data nodes. Errors quote
// nothing of the URL.
func ParseURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	switch scheme {
	case "redis+sentinel", "rediss+sentinel":
		return parseSentinel(scheme, rest)
	case "redis+cluster", "rediss+cluster":
		return parseCluster(scheme, rest)
	}
	one, err := redis.ParseURL(text)
	if err != nil {
		return nil, errURL
	}
	opts := &redis.UniversalOptions{
		Addrs: []string{one.Addr}, DB: one.DB, Username: one.Username, Password: one.Password, TLSConfig: one.TLSConfig,
		PoolSize: one.PoolSize, MinIdleConns: one.MinIdleConns, MaxActiveConns: one.MaxActiveConns,
	}
	if one.Network == "unix" {
		opts.Dialer = unixDialer(one.Addr)
	}
	return opts, nil
}

func parseSentinel(scheme, rest string) (*redis.UniversalOptions, error) {
	opts, path, query, err := parseHosts(scheme, rest, defaultSentinelPort)
	if err != nil {
		return nil, errSentinelURL
	}
	master, database, _ := strings.Cut(path, "/")
	if opts.MasterName, err = url.PathUnescape(master); err != nil || opts.MasterName == "" {
		return nil, errSentinelURL
	}
	if database != "" {
		if opts.DB, err = strconv.Atoi(database); err != nil || opts.DB < 0 {
			return nil, errSentinelURL
		}
	}
	opts.SentinelUsername, opts.SentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	if len(query) > 0 {
		return nil, errSentinelURL
	}
	return opts, nil
}

func parseCluster(scheme, rest string) (*redis.UniversalOptions, error) {
	opts, path, query, err := parseHosts(scheme, rest, defaultPort)
	if err != nil || path != "" && path != "0" || len(query) > 0 {
		return nil, errClusterURL
	}
	opts.IsClusterMode = true
	return opts, nil
}

// parseHosts reads user:password@host:port,host:port/path?query.
func parseHosts(scheme, rest, port string) (opts *redis.UniversalOptions, path string, query url.Values, err error) {
	rest, rawQuery, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	opts = &redis.UniversalOptions{}
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		var err2 error
		opts.Username, err = url.PathUnescape(user)
		opts.Password, err2 = url.PathUnescape(password)
		if err = errors.Join(err, err2); err != nil {
			return nil, "", nil, err
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" || u.Host != host {
			return nil, "", nil, errURL
		}
		if p := u.Port(); p != "" {
			opts.Addrs = append(opts.Addrs, net.JoinHostPort(u.Hostname(), p))
		} else {
			opts.Addrs = append(opts.Addrs, net.JoinHostPort(u.Hostname(), port))
		}
	}
	if strings.HasPrefix(scheme, "rediss") {
		// Each host is verified by its own name, which the dialer sets.
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	query, err = url.ParseQuery(rawQuery)
	return opts, path, query, err
}

// unixDialer connects to a socket file, whatever address is asked for.
func unixDialer(path string) func(context.Context, string, string) (net.Conn, error) {
	dialer := &net.Dialer{}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
}
