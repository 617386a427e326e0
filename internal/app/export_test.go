package app

import (
	"context"
	"log/slog"

	"github.com/timewheel/timewheel/internal/config"
)

// Serve is serve.
var Serve = serve

// Stores are connections to both stores, for a program that needs no Redis.
type Stores struct{ *stores }

func OpenStores(ctx context.Context, cfg config.Shared, log *slog.Logger) (Stores, error) {
	s, err := openStores(ctx, cfg, needs{work: 2}, log)
	return Stores{s}, err
}

func (s Stores) Ready(ctx context.Context) (map[string]string, bool) { return s.ready(ctx) }
func (s Stores) Close(ctx context.Context) error                     { return s.close(ctx) }
