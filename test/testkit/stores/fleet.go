package stores

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// fleet is servers of Redis with one password.
type fleet struct {
	password string
	servers  []*Redis
	ports    []*port // that they have besides their own
}

// add starts a server.
func (f *fleet) add(ctx context.Context, settings map[string]string, arguments ...string) (*Redis, error) {
	server, err := startRedis(ctx, Options{Settings: settings}, f.password, arguments...)
	if err == nil {
		f.servers = append(f.servers, server)
	}
	return server, err
}

// replicating are settings of a server that may be a replica, or have one, without delay.
func (f *fleet) replicating(more map[string]string) map[string]string {
	settings := map[string]string{"masterauth": f.password, "repl-diskless-sync-delay": "0", "shutdown-timeout": "0"}
	maps.Copy(settings, more)
	return settings
}

// awaitWords waits until all servers have these words in their reply to the command.
func awaitWords(ctx context.Context, servers []*Redis, command, words string) error {
	for _, server := range servers {
		err := await(ctx, func(ctx context.Context) error {
			reply, err := server.ask(ctx, "%s", command)
			if err == nil && !strings.Contains(reply, words) {
				err = errors.New(reply)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("wait until redis says %s: %w", words, err)
		}
	}
	return nil
}

func hosts(servers []*Redis) string {
	var all []string
	for _, server := range servers {
		all = append(all, server.port.address())
	}
	return strings.Join(all, ",")
}

// Close ends all of it. The data is thrown away, so the servers are killed: in an
// orderly end they would wait for each other.
func (f *fleet) Close() (err error) {
	for _, server := range f.servers {
		err = errors.Join(err, server.Kill(), server.Close())
	}
	for _, port := range f.ports {
		err = errors.Join(err, port.release())
	}
	return err
}
