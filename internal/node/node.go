// Package node is what every node of the system begins with: its connections
// to both stores, checked, and the answer to whether it is ready.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/migrations"
)

// checkTimeout bounds the look at each store when a node starts.
const checkTimeout = 10 * time.Second

// Stores are the two rings.
type Stores struct {
	DB    *postgres.DB
	Wheel *wheel.Wheel
}

// Open connects to both stores. It refuses in one sentence a store that cannot
// keep the promise. A Redis that does not answer is no reason to refuse: it is
// a hint, and may come back.
func Open(ctx context.Context, cfg config.Shared, connections int32, log *slog.Logger) (*Stores, error) {
	db, err := postgres.Open(ctx, cfg.DatabaseURL, connections, log)
	if err != nil {
		return nil, err
	}
	ring, err := wheel.Open(cfg.RedisURL, cfg.WheelShards)
	if err != nil {
		db.Close()
		return nil, err
	}
	s := &Stores{DB: db, Wheel: ring}
	if err := s.check(ctx, cfg, log); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stores) check(ctx context.Context, cfg config.Shared, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	schema, err := migrations.Latest()
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if err := s.DB.Check(ctx, schema, cfg.AllowUnsafePostgres); err != nil {
		return err
	}
	server, err := s.Wheel.Server(ctx)
	if err != nil {
		log.Warn("Redis does not answer, tasks will wait until it does", "error", err)
		return nil
	}
	return server.Supported()
}

// Ready reports on both stores. Postgres decides: without Redis tasks are
// accepted, and wait.
func (s *Stores) Ready(ctx context.Context) (checks map[string]string, ready bool) {
	word := func(err error) string {
		if err != nil {
			return "unreachable"
		}
		return "ok"
	}
	err := s.DB.Ping(ctx)
	return map[string]string{"postgres": word(err), "redis": word(s.Wheel.Ping(ctx))}, err == nil
}

// Close closes all connections.
func (s *Stores) Close() {
	_ = s.Wheel.Close() // nothing depends on how a closed connection ends
	s.DB.Close()
}
