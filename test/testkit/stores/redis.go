package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis is a private Redis. Its password is that of this process' server: it is in
// the configuration, which is written again each time.
type Redis struct{ server }

// StartRedis starts a private Redis and returns once it answers. Close ends it.
func StartRedis(ctx context.Context, options Options) (*Redis, error) {
	return startRedis(ctx, options, rand.Text())
}

func startRedis(ctx context.Context, options Options, password string, arguments ...string) (*Redis, error) {
	binary, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{server{name: "redis", password: password, shutdown: syscall.SIGTERM}}
	r.probe = r.ping
	r.command = func() *exec.Cmd { return exec.Command(binary, append([]string{r.config()}, arguments...)...) } //nolint:gosec,noctx // G204: both are our own. It outlives ctx.
	err = r.prepare(options)
	if err == nil {
		err = r.configure(options.Settings)
	}
	if err == nil {
		err = r.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Redis) config() string { return filepath.Join(r.dir, "redis.conf") }

// configure writes the server's configuration. The last setting of a name wins.
func (r *Redis) configure(extra map[string]string) error {
	data := filepath.Join(r.dir, "redis")
	settings := fmt.Appendf(nil, `bind 127.0.0.1
port %d
requirepass %s
dir %q
databases 1024
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
`, r.port.number, r.password, data)
	for name, value := range extra {
		settings = fmt.Appendf(settings, "%s %s\n", name, value)
	}
	err := os.MkdirAll(data, 0o700)
	if err == nil {
		err = os.WriteFile(r.config(), settings, 0o600)
	}
	if err != nil {
		return fmt.Errorf("configure redis: %w", err)
	}
	return nil
}

// URL is where the server listens, as a redis:// URL of its database 0.
func (r *Redis) URL() string { return "redis://:" + r.password + "@" + r.port.address() + "/0" }

// ping looks first whether somebody listens: the client library logs each
// failure of a server that is only starting.
func (r *Redis) ping(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", r.port.address())
	if err != nil {
		return err
	}
	_, err = r.ask(ctx, "PING")
	return errors.Join(err, conn.Close())
}

// Pause stops the server, as a machine that stands still does: connections stay, and nobody
// answers. Resume lets it go on.
func (r *Redis) Pause() (resume func() error, err error) {
	return func() error { return r.program.Signal(syscall.SIGCONT) }, r.program.Signal(syscall.SIGSTOP)
}

// ask carries out one command whose words have no spaces, and returns the reply as text.
func (r *Redis) ask(ctx context.Context, form string, arguments ...any) (reply string, err error) {
	var words []any
	for word := range strings.FieldsSeq(fmt.Sprintf(form, arguments...)) {
		words = append(words, word)
	}
	err = WithRedis(r.URL(), 0, func(client *redis.Client) error {
		value, err := client.Do(ctx, words...).Result()
		reply = fmt.Sprint(value)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("redis %v: %w", words[0], err)
	}
	return reply, nil
}
