package stores

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Redis is a private Redis.
type Redis struct {
	server
	// password is that of this process' server: it is in its configuration,
	// which is written again each time.
	password string
}

// StartRedis starts a private Redis and returns once it answers. Close ends it.
func StartRedis(ctx context.Context, options Options) (*Redis, error) {
	binary, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	dir, temporary, err := options.home("redis")
	if err != nil {
		return nil, err
	}
	port, err := reservePort(options.Port)
	if err != nil {
		return nil, err
	}
	r := &Redis{
		server:   server{name: "redis", dir: dir, temporary: temporary, port: port, shutdown: syscall.SIGTERM},
		password: rand.Text(),
	}
	r.probe = r.ping
	r.transient = []string{"Address already in use"}
	config := filepath.Join(dir, "redis.conf")
	r.command = func() *exec.Cmd { return exec.Command(binary, config) } //nolint:gosec,noctx // G204: both are our own. It outlives ctx.
	err = r.configure(config, options.Settings)
	if err == nil {
		err = r.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// configure writes the server's configuration to path.
func (r *Redis) configure(path string, extra map[string]string) error {
	data := filepath.Join(r.dir, "redis")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make the redis data folder: %w", err)
	}
	settings := map[string]string{
		"bind":             "127.0.0.1",
		"port":             strconv.Itoa(r.port.number),
		"requirepass":      r.password,
		"dir":              strconv.Quote(data),
		"databases":        "1024",
		"appendonly":       "yes",
		"appendfsync":      "everysec",
		"save":             `""`,
		"maxmemory-policy": "noeviction",
		"daemonize":        "no",
	}
	maps.Copy(settings, extra)
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s %s\n", name, settings[name])
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		return fmt.Errorf("write the redis configuration: %w", err)
	}
	return nil
}

// URL is where the server listens, as a redis:// URL of its database 0.
func (r *Redis) URL() string { return "redis://:" + r.password + "@" + r.address() + "/0" }

func (r *Redis) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port.number)) }

// ping speaks the protocol itself: a client library would retry, and log each
// failure of a server that is only starting.
func (r *Redis) ping(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", r.address())
	if err != nil {
		return err
	}
	reply, err := exchange(ctx, conn, "AUTH "+r.password+"\r\n")
	if err == nil && reply == "+OK" {
		reply, err = exchange(ctx, conn, "PING\r\n")
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return err
	}
	if reply != "+PONG" {
		return fmt.Errorf("redis answered %q", reply)
	}
	return nil
}

func exchange(ctx context.Context, conn net.Conn, request string) (reply string, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return "", err
	}
	reply, err = bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(reply), err
}
