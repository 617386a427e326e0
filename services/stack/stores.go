package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

// storeSet is the two stores that the services and the tests run on.
type storeSet struct {
	databaseURL, redisURL string
	// where says what the stores are, for the user.
	where string
	// psql and redisCLI are lines to paste that open each store.
	psql, redisCLI string
	// ended carries the first private store that ended by itself.
	ended chan error
	// closers end what was started, in the order of their starts.
	closers []func() error
}

// environ is the environment of a program that uses the stores.
func (s *storeSet) environ(more ...string) []string {
	environ := append(os.Environ(), "DATABASE_URL="+s.databaseURL, "REDIS_URL="+s.redisURL)
	return append(environ, more...)
}

// close ends what was started, last in first out.
func (s *storeSet) close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// fromEnvironment takes the stores that the user names, and leaves the fields
// of the others empty.
func fromEnvironment() *storeSet {
	s := &storeSet{where: "the environment names", ended: make(chan error, 2)}
	if s.databaseURL = os.Getenv("DATABASE_URL"); s.databaseURL != "" {
		s.psql = `psql "$DATABASE_URL"`
	}
	if s.redisURL = os.Getenv("REDIS_URL"); s.redisURL != "" {
		s.redisCLI = `redis-cli -u "$REDIS_URL"`
	}
	return s
}

func (s *storeSet) complete() bool { return s.databaseURL != "" && s.redisURL != "" }

// Ports that a private store of "up" prefers: beside the usual ones, which the
// machine's own servers have.
const (
	postgresPort = 15432
	redisPort    = 16379
)

// startPrivate starts an instance of each store that is still lacking, with
// its data in dir. What was started before an error is in s.closers.
func (s *storeSet) startPrivate(ctx context.Context, dir string, out io.Writer) error {
	if s.complete() {
		return nil
	}
	if err := stores.Install(ctx, out); err != nil {
		return err
	}
	s.where = "private instances with their data in " + dir
	if s.databaseURL == "" {
		postgres, err := stores.StartPostgres(ctx, stores.Options{Dir: dir, Port: postgresPort})
		if err != nil {
			return err
		}
		s.databaseURL = postgres.URL()
		s.psql = fmt.Sprintf("psql '%s'", s.databaseURL)
		s.closers = append(s.closers, postgres.Close)
		go s.watch("postgres", postgres.LogFile(), postgres.Done())
	}
	if s.redisURL == "" {
		redis, err := stores.StartRedis(ctx, stores.Options{Dir: dir, Port: redisPort})
		if err != nil {
			return err
		}
		s.redisURL = redis.URL()
		// A redis-cli takes a URL without a user for one with an empty name.
		s.redisCLI = "redis-cli --no-auth-warning -u " + strings.Replace(s.redisURL, "//:", "//default:", 1)
		s.closers = append(s.closers, redis.Close)
		go s.watch("redis", redis.LogFile(), redis.Done())
	}
	return nil
}

func (s *storeSet) watch(name, log string, done <-chan struct{}) {
	<-done
	s.ended <- fmt.Errorf("%s ended by itself; its log is %s", name, log)
}

// dockerAnswers reports whether there is a Docker engine to use.
func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// startDocker brings up both stores of docker-compose.yml. Their data stays in
// Docker's volumes.
func (s *storeSet) startDocker(ctx context.Context, root string, fresh bool) error {
	if fresh {
		if err := compose(ctx, root, "down", "--volumes"); err != nil {
			return fmt.Errorf("remove the stores' data: %w", err)
		}
	}
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return compose(ctx, root, "stop", "postgres", "redis")
	})
	if err := compose(ctx, root, "up", "--detach", "--wait", "postgres", "redis"); err != nil {
		return fmt.Errorf("start the stores: %w", err)
	}
	s.where = "containers of docker-compose.yml"
	s.databaseURL = "postgres://timewheel:" + composePassword() + "@127.0.0.1:5432/timewheel?sslmode=disable"
	s.redisURL = "redis://127.0.0.1:6379/0"
	s.psql = "docker compose exec postgres psql -U timewheel timewheel"
	s.redisCLI = "docker compose exec redis redis-cli"
	return nil
}

// composePassword follows the default that docker-compose.yml has.
func composePassword() string {
	if password := os.Getenv("POSTGRES_PASSWORD"); password != "" {
		return password
	}
	return "timewheel"
}

func compose(ctx context.Context, root string, arguments ...string) error {
	command := exec.CommandContext(ctx, "docker", append([]string{"compose"}, arguments...)...) //nolint:gosec // G204: the arguments are our own.
	command.Dir = root
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("docker compose %s: %w", arguments[0], err)
	}
	return nil
}
