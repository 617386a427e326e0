package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Without Redis a program begins its work and is ready; without Postgres it
// refuses.
func TestPostgresDecides(t *testing.T) {
	t.Parallel()
	cfg := config.Shared{Database: config.Database{DatabaseURL: testkit.Postgres(t)}, RedisURL: testkit.Redis(t), WheelShards: 1}
	open := func(cfg config.Shared) (app.Stores, error) {
		return app.OpenStores(t.Context(), cfg, slog.New(slog.DiscardHandler))
	}

	both, err := open(cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, both.Close(context.Background())) }()
	checks, ready := both.Ready(t.Context())
	require.True(t, ready)
	require.Equal(t, map[string]string{"postgres": "ok", "redis": "ok"}, checks)

	noRedis := cfg
	noRedis.RedisURL = "redis://:hush@127.0.0.1:1/0"
	half, err := open(noRedis)
	require.NoError(t, err)
	defer func() { require.NoError(t, half.Close(context.Background())) }()
	checks, ready = half.Ready(t.Context())
	require.True(t, ready)
	require.Equal(t, map[string]string{"postgres": "ok", "redis": "unreachable"}, checks)

	noPostgres := cfg
	noPostgres.DatabaseURL = "postgres://user:hush@127.0.0.1:1/none"
	_, err = open(noPostgres)
	require.ErrorContains(t, err, "Postgres")
	require.NotContains(t, err.Error(), "hush")
}

// A Postgres that says nothing takes the whole of a look, and Redis is not blamed.
func TestASilentPostgresIsNotTheFaultOfRedis(t *testing.T) {
	t.Parallel()
	server := testkit.OwnPostgres(t)
	require.NoError(t, migrations.Up(server.URL()))
	cfg := config.Shared{Database: config.Database{DatabaseURL: server.URL()}, RedisURL: testkit.Redis(t), WheelShards: 1}
	nodes, err := app.OpenStores(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, nodes.Close(context.Background())) }()

	resume, err := server.Pause()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	checks, ready := nodes.Ready(ctx)
	require.NoError(t, resume())
	require.False(t, ready)
	require.Equal(t, map[string]string{"postgres": "unreachable", "redis": "ok"}, checks)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	ran := errors.New("ran")
	command := app.Command[config.API]{
		Name: "api",
		Load: func() (config.API, error) { return config.API{ListenAddr: "127.0.0.1:1"}, nil },
		Addr: func(cfg config.API) string { return cfg.ListenAddr },
		Run:  func(context.Context, config.API, io.Writer) error { return ran },
	}
	var out bytes.Buffer
	require.ErrorIs(t, command.Do(t.Context(), nil, &out), ran)
	require.NoError(t, command.Do(t.Context(), []string{"--help"}, &out))
	require.Contains(t, out.String(), "DATABASE_URL")
	require.ErrorContains(t, command.Do(t.Context(), []string{"sing"}, &out), "sing")
	require.Error(t, command.Do(t.Context(), []string{"healthcheck"}, &out), "nothing listens there")
}
