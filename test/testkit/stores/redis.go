package stores

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
	return startRedis(ctx, options)
}

func startRedis(ctx context.Context, options Options, arguments ...string) (*Redis, error) {
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
		password: cmp.Or(options.Password, rand.Text()),
	}
	r.probe = r.ping
	r.transient = []string{"Address already in use"}
	config := filepath.Join(dir, "redis.conf")
	r.command = func() *exec.Cmd { return exec.Command(binary, append([]string{config}, arguments...)...) } //nolint:gosec,noctx // G204: both are our own. It outlives ctx.
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

func (r *Redis) portText() string { return strconv.Itoa(r.port.number) }

// Pause stops the server, as a machine that stands still does: connections stay, and nobody
// answers. Resume lets it go on.
func (r *Redis) Pause() (resume func() error, err error) {
	if err := r.program.Signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("pause redis: %w", err)
	}
	return func() error { return r.program.Signal(syscall.SIGCONT) }, nil
}

// ping speaks the protocol itself: a client library would retry, and log each
// failure of a server that is only starting.
func (r *Redis) ping(ctx context.Context) error {
	reply, err := r.ask(ctx, "PING")
	if err == nil && reply != "PONG" {
		err = fmt.Errorf("redis answered %q", reply)
	}
	return err
}

// ask carries out one command whose words have no spaces.
func (r *Redis) ask(ctx context.Context, command string) (reply string, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", r.address())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n%s\r\n", r.password, command); err != nil {
		return "", err
	}
	replies := bufio.NewReader(conn)
	if _, err := readReply(replies); err != nil {
		return "", err
	}
	return readReply(replies)
}

// readReply reads a reply as text; the parts of a list are lines.
func readReply(from *bufio.Reader) (string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	kind, rest := line[:1], line[1:]
	switch kind {
	case "-":
		return "", errors.New(rest)
	case "$", "*":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		if kind == "$" {
			text := make([]byte, n+2)
			_, err := io.ReadFull(from, text)
			return string(text[:n]), err
		}
		var parts []string
		for range n {
			part, err := readReply(from)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "\n"), nil
	}
	return rest, nil
}
