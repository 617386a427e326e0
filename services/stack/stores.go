package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
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
	// ended carries the private stores that ended by themselves.
	ended chan error
	// closers end what was started, in the order of their starts.
	closers []func() error
}

// environ is what tells a program where the stores are.
func (s *storeSet) environ() []string {
	return []string{"DATABASE_URL=" + s.databaseURL, "REDIS_URL=" + s.redisURL}
}

// close ends what was started, last in first out.
func (s *storeSet) close() (err error) {
	for _, closeOne := range slices.Backward(s.closers) {
		err = errors.Join(err, closeOne())
	}
	return err
}

// fromEnvironment takes the stores that the user names, and leaves the URLs
// of the others empty.
func fromEnvironment() *storeSet {
	return &storeSet{
		databaseURL: os.Getenv("DATABASE_URL"), redisURL: os.Getenv("REDIS_URL"), where: "the environment names",
		psql: `psql "$DATABASE_URL"`, redisCLI: `redis-cli -u "$REDIS_URL"`, ended: make(chan error, 2),
	}
}

func (s *storeSet) complete() bool { return s.databaseURL != "" && s.redisURL != "" }

// Ports that a private store prefers: beside the usual ones, which the machine's own
// servers have.
const (
	postgresPort = 15432
	redisPort    = 16379
)

// startPrivate starts an instance of each store that is still lacking, with
// its data in dir. What was started before an error is in s.closers.
func (s *storeSet) startPrivate(ctx context.Context, dir string) error {
	if s.complete() {
		return nil
	}
	if err := stores.Install(ctx, os.Stderr); err != nil {
		return err
	}
	s.where = "private instances with their data in " + dir
	if s.databaseURL == "" {
		postgres, err := stores.StartPostgres(ctx, stores.Options{Dir: dir, Port: postgresPort})
		if err != nil {
			return err
		}
		s.watch(postgres.Done(), postgres.LogFile(), postgres.Close)
		s.databaseURL = postgres.URL()
		s.psql = fmt.Sprintf("psql '%s'", s.databaseURL)
	}
	if s.redisURL == "" {
		redis, err := stores.StartRedis(ctx, stores.Options{Dir: dir, Port: redisPort})
		if err != nil {
			return err
		}
		s.watch(redis.Done(), redis.LogFile(), redis.Close)
		s.redisURL = redis.URL()
		// A redis-cli takes a URL without a user for one with an empty name.
		s.redisCLI = "redis-cli --no-auth-warning -u " + strings.Replace(s.redisURL, "//:", "//default:", 1)
	}
	return nil
}

// watch ends a store with the others, and tells if it ends by itself.
func (s *storeSet) watch(done <-chan struct{}, log string, closeOne func() error) {
	s.closers = append(s.closers, closeOne)
	go func() {
		<-done
		s.ended <- fmt.Errorf("a store ended by itself; its log is %s", log)
	}()
}

// dockerAnswers reports whether there is a Docker engine to use.
func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// startDocker brings up both stores of docker-compose.yml. Their data stays in
// Docker's volumes.
func (s *storeSet) startDocker(ctx context.Context, root string, fresh bool) (err error) {
	compose := func(ctx context.Context, arguments ...string) error {
		if err := runToEnd(ctx, program(root, nil, "docker", append([]string{"compose"}, arguments...)...)); err != nil {
			return fmt.Errorf("docker compose %s: %w", strings.Join(arguments, " "), err)
		}
		return nil
	}
	if fresh {
		err = compose(ctx, "--profile", "*", "down", "--volumes") // whatever else it runs
	}
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return compose(ctx, "stop", "postgres", "redis")
	})
	s.where = "containers of docker-compose.yml"
	// The password follows the default that docker-compose.yml has.
	s.databaseURL = "postgres://timewheel:" + cmp.Or(os.Getenv("POSTGRES_PASSWORD"), "timewheel") + "@127.0.0.1:5432/timewheel?sslmode=disable"
	s.redisURL = "redis://127.0.0.1:6379/0"
	s.psql = "docker compose exec postgres psql -U timewheel timewheel"
	s.redisCLI = "docker compose exec redis redis-cli"
	if err == nil {
		err = compose(ctx, "up", "--detach", "--wait", "postgres", "redis")
	}
	return err
}
