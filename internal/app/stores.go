package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/migrations"
)

// checkTimeout bounds the look at each store when a node starts.
const checkTimeout = 10 * time.Second

// needs is what a program needs of the stores.
type needs struct {
	// work and reads are the most connections to Postgres for each.
	work, reads int32
	// redis: without one that takes scripts the program is not ready.
	redis bool
}

// stores are the connections to both stores.
type stores struct {
	db    *postgres.DB
	wheel *wheel.Wheel
	needs needs
}

// openStores connects to both stores. It refuses in one sentence a store that cannot
// keep the promise, or that cannot be used as it is. A Redis that does not answer is
// no reason to refuse: it is a hint, and may come back.
func openStores(ctx context.Context, cfg config.Shared, needs needs, log *slog.Logger) (*stores, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	db, err := openPostgres(ctx, cfg, needs, log)
	if err != nil {
		return nil, err
	}
	index, err := openRedis(ctx, cfg, db, log)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &stores{db: db, wheel: index, needs: needs}, nil
}

func openPostgres(ctx context.Context, cfg config.Shared, needs needs, log *slog.Logger) (*postgres.DB, error) {
	schema, err := migrations.Latest()
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	// The pools outlive this look.
	db, err := postgres.Open(context.WithoutCancel(ctx), postgres.Options{
		URL: cfg.DatabaseURL, Work: needs.work, Reads: needs.reads, TransactionPooler: cfg.Pooler == "transaction",
	}, log)
	if err != nil {
		return nil, err
	}
	if err := db.Check(ctx, schema, cfg.AllowUnsafePostgres); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func openRedis(ctx context.Context, cfg config.Shared, db *postgres.DB, log *slog.Logger) (*wheel.Wheel, error) {
	if cfg.WheelShards != 1 {
		log.Warn("WHEEL_SHARDS has no effect any more: each task type has a ring of its own")
	}
	installation, err := db.Installation(ctx)
	if err != nil {
		return nil, err
	}
	index, err := wheel.Open(wheel.Options{
		URL: cfg.RedisURL, Prefix: cfg.RedisPrefix, Installation: installation,
	})
	if err != nil {
		return nil, err
	}
	if err := checkRedis(ctx, index, log); err != nil {
		_ = index.Close() // nothing depends on how a closed connection ends
		return nil, err
	}
	return index, nil
}

func checkRedis(ctx context.Context, index *wheel.Wheel, log *slog.Logger) error {
	switch err := index.Check(ctx); {
	case isUnusable(err) && !isFull(err):
		return err
	case err != nil:
		log.Warn("Redis is of no use now, and tasks wait until it is", "error", err)
		return nil
	}
	for _, sentence := range index.Missing(ctx) {
		log.Warn("Redis does not permit all that helps", "missing", sentence)
	}
	server, err := index.Server(ctx)
	if err != nil || server.Version == "" { // it may not be asked
		return err
	}
	return server.Supported()
}

// isUnusable reports whether Redis answers and cannot be used as it is.
func isUnusable(err error) bool {
	var unusable *wheel.UnusableError
	return errors.As(err, &unusable) || errors.Is(err, wheel.ErrForeign)
}

// isFull reports whether Redis has no room. That can pass, and workers
// can run what it holds.
func isFull(err error) bool {
	var unusable *wheel.UnusableError
	return errors.As(err, &unusable) && unusable.Full
}

// ready reports on both stores. Postgres decides: without Redis tasks are accepted,
// and wait. Who executes them needs a Redis that can be used.
func (s *stores) ready(ctx context.Context) (checks map[string]string, ready bool) {
	checks = map[string]string{"postgres": "ok", "redis": "ok"}
	ready = true
	// At the same time, since a store that says nothing takes all of ctx.
	redis := make(chan error, 1)
	go func() { redis <- s.wheel.Check(ctx) }()
	if err := s.db.Ping(ctx); err != nil {
		checks["postgres"], ready = "unreachable", false
		if errors.Is(err, postgres.ErrReadOnly) {
			checks["postgres"] = "takes reads only"
		}
	}
	switch err := <-redis; {
	case isUnusable(err):
		checks["redis"] = strings.TrimPrefix(err.Error(), "redis ")
		ready = ready && !s.needs.redis
	case err != nil:
		checks["redis"] = "unreachable"
	}
	return checks, ready
}

// close closes all connections.
func (s *stores) close(context.Context) error {
	defer s.db.Close()
	return s.wheel.Close()
}
