// Package stores runs private instances of Postgres and Redis on this machine,
// for development and for tests. They listen on 127.0.0.1 only and let in whoever has
// the password in their URL, they end with the process that started them, and they may
// be killed and started again on the same data and the same port.
package stores

import (
	"errors"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options describe a private instance. The zero value is a throw-away one.
type Options struct {
	// Dir is the folder that holds the data and the log, and is made if it is
	// missing. What it holds is used again. Empty: a temporary folder that
	// Close removes.
	Dir string
	// Port is the TCP port to prefer. If it is taken, or 0, the kernel chooses
	// one.
	Port int
	// Settings are added to the server's own, by name, and win over them.
	Settings map[string]string
}

// TempDir makes a temporary folder that Postgres' own user can get through: it
// refuses to run as root.
func TempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err == nil {
		err = os.Chmod(dir, 0o711) //nolint:gosec // G302: see above, and the data below is 0700.
	}
	if err != nil {
		return "", fmt.Errorf("make a temporary folder: %w", err)
	}
	return dir, nil
}

// WithRedis lends a client of a database of the server that a redis:// URL names.
// It tries nothing twice, and sends nothing that an older server refuses.
func WithRedis(url string, database int, use func(*redis.Client) error) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return errors.New("the address of redis is not a redis:// URL") // its text may hold a password
	}
	options.DB, options.MaxRetries, options.DialerRetries = database, -1, 1
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClient(options)
	return errors.Join(use(client), client.Close())
}
