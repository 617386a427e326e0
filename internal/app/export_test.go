package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/timewheel/timewheel/internal/config"
)

// Serve is serve without TLS.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, delay time.Duration, log *slog.Logger) error {
	return serve(ctx, listener, nil, handler, delay, log)
}

// Stores are connections to both stores, for a program that needs no Redis.
type Stores struct{ *stores }

func OpenStores(ctx context.Context, cfg config.Shared, log *slog.Logger) (Stores, error) {
	s, err := openStores(ctx, cfg, needs{work: 2}, log)
	return Stores{s}, err
}

func (s Stores) Ready(ctx context.Context) (map[string]string, bool) { return s.ready(ctx) }
func (s Stores) Close(ctx context.Context) error                     { return s.close(ctx) }

// DoKeys is KeyCommand on a database.
func DoKeys(ctx context.Context, cfg config.Database, args []string, out io.Writer) error {
	do, err := readKeyCommand(ctx, args, out)
	if err != nil {
		return err
	}
	return withDatabase(ctx, cfg, do)
}
