package config_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/config"
)

const (
	secret      = "hunter2"
	postgresURL = "postgres://u:" + secret + "@db:5432/timewheel"
	redisURL    = "redis://:" + secret + "@redis:6379/0"
)

// setenv leaves exactly these variables set for the test.
func setenv(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		t.Setenv(key, "") // registers the restore; empty counts as unset
	}
	for key, value := range vars {
		t.Setenv(key, value)
	}
}

func stores() map[string]string {
	return map[string]string{
		"DATABASE_URL": postgresURL,
		"REDIS_URL":    redisURL,
	}
}

func TestDefaults(t *testing.T) {
	setenv(t, stores())

	api, err := config.LoadAPI()
	require.NoError(t, err)
	require.Equal(t, config.API{
		ListenAddr:    ":8080",
		Auth:          "off",
		MaxInFlight:   2048,
		ShutdownDelay: 3 * time.Second,
		Shared: config.Shared{
			Database:     config.Database{DatabaseURL: postgresURL, Pooler: "none"},
			RedisPrefix:  "timewheel",
			RedisURL:     redisURL,
			WheelHorizon: time.Hour,
			WheelShards:  1,
			BarURL:       "https://example.com/",
			TaskTimeout:  5 * time.Minute,
			LogLevel:     slog.LevelInfo,
			LogFormat:    "json",
		},
	}, api)

	worker, err := config.LoadWorker()
	require.NoError(t, err)
	require.Equal(t, config.Worker{
		ListenAddr:  ":8081",
		Concurrency: 100,
		Lease:       15 * time.Second,
		Drain:       30 * time.Second,
		Retention:   168 * time.Hour,
		Shared:      api.Shared,
	}, worker)
}

func TestEveryBadVariableIsNamedAndNoValueQuoted(t *testing.T) {
	setenv(t, map[string]string{
		"DATABASE_URL":          "mysql://u:" + secret + "@db/x",
		"LISTEN_ADDR":           secret,
		"WORKER_CONCURRENCY":    secret,
		"WORKER_LEASE":          "2s",
		"WORKER_DRAIN":          secret,
		"TASK_TIMEOUT":          "0s",
		"TASK_RETENTION":        "1s",
		"WHEEL_HORIZON":         "25h",
		"WHEEL_SHARDS":          "257",
		"WEBHOOK_ALLOW_PRIVATE": secret,
		"ALLOW_UNSAFE_POSTGRES": secret,
		"TLS_CERT":              secret,
		"BAR_URL":               "ftp://" + secret + "@x",
		"LOG_LEVEL":             secret,
		"LOG_FORMAT":            secret,
	})
	_, err := config.LoadWorker()
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
	require.ElementsMatch(t, []string{
		"DATABASE_URL is not a URL that starts with postgres:// or postgresql://",
		"TLS_CERT and TLS_KEY need each other",
		"REDIS_URL is required and not set",
		"LISTEN_ADDR is not an address such as :8080 or 127.0.0.1:8080",
		"WORKER_CONCURRENCY is not a whole number",
		"WORKER_LEASE is out of range, want 3s to 1h",
		"WORKER_DRAIN is not a duration such as 500ms, 90s or 1h",
		"TASK_TIMEOUT is out of range, want 1ms to 24h",
		"TASK_RETENTION is out of range, want 1m to 876000h",
		"WHEEL_HORIZON is out of range, want 1m to 24h",
		"WHEEL_SHARDS is out of range, want 1 to 256",
		"WEBHOOK_ALLOW_PRIVATE is not true or false",
		"ALLOW_UNSAFE_POSTGRES is not true or false",
		"BAR_URL is not a URL that starts with http:// or https://",
		"LOG_LEVEL is not debug, info, warn or error",
		"LOG_FORMAT is not json or text",
	}, strings.Split(err.Error(), "\n"))
}

func TestPasswordsComeApartAndFromFiles(t *testing.T) {
	const password = "p@ss/w#rd?1:%&+ =ü"
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	setenv(t, map[string]string{
		"DATABASE_URL": "  postgres://u@db:5432/name?sslmode=disable\n", "DATABASE_PASSWORD_FILE": file,
		"REDIS_URL": "redis://redis:6379/0", "REDIS_PASSWORD": password,
	})
	worker, err := config.LoadWorker()
	require.NoError(t, err)
	database, err := config.LoadDatabase()
	require.NoError(t, err)
	require.Equal(t, worker.DatabaseURL, database.DatabaseURL)
	db, err := pgx.ParseConfig(worker.DatabaseURL)
	require.NoError(t, err)
	require.Equal(t, []any{"u", password, "db", "name"}, []any{db.User, db.Password, db.Host, db.Database})
	ring, err := redis.ParseURL(worker.RedisURL)
	require.NoError(t, err)
	require.Equal(t, []any{"", password, "redis:6379"}, []any{ring.Username, ring.Password, ring.Addr})

	setenv(t, map[string]string{
		"DATABASE_URL": "postgres://u:own@db/name", "DATABASE_PASSWORD": password, "REDIS_URL_FILE": "/nowhere/at/all",
	})
	_, err = config.LoadAPI()
	require.EqualError(t, err, "REDIS_URL_FILE names a file that cannot be read")
	database, err = config.LoadDatabase()
	require.NoError(t, err)
	require.Equal(t, "postgres://u:own@db/name", database.DatabaseURL)
}

func TestBarURLIsOneThatBarTakes(t *testing.T) {
	for _, bad := range []string{"http://", "http://:80/", "http://u:" + secret + "@x/"} {
		vars := stores()
		vars["BAR_URL"] = bad
		setenv(t, vars)
		_, err := config.LoadWorker()
		require.EqualError(t, err, "BAR_URL is a URL without a host, or with a user or password")
	}
}

func TestValuesAreRead(t *testing.T) {
	vars := stores()
	vars["WHEEL_HORIZON"] = "90m"
	vars["WHEEL_SHARDS"] = "256"
	vars["LOG_LEVEL"] = "DEBUG"
	vars["LOG_FORMAT"] = "text"
	vars["LISTEN_ADDR"] = "[::1]:0"
	vars["WEBHOOK_ALLOW_PRIVATE"] = "true"
	vars["WORKER_LEASE"] = "3s"
	vars["BAR_URL"] = "https://example.com/time?zone=utc"
	setenv(t, vars)
	worker, err := config.LoadWorker()
	require.NoError(t, err)
	require.Equal(t, 90*time.Minute, worker.WheelHorizon)
	require.Equal(t, 256, worker.WheelShards)
	require.Equal(t, slog.LevelDebug, worker.LogLevel)
	require.Equal(t, "text", worker.LogFormat)
	require.Equal(t, "[::1]:0", worker.ListenAddr)
	require.Equal(t, 3*time.Second, worker.Lease)
	require.True(t, worker.AllowPrivate)
	require.Equal(t, "https://example.com/time?zone=utc", worker.BarURL)
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, config.Usage(&out, "worker", config.Worker{}))
	require.Regexp(t, `(?m)^  DATABASE_URL +\(required\) +Postgres`, out.String())
	require.Regexp(t, `(?m)^  WORKER_LEASE +15s .*\(3s to 1h\)$`, out.String())
	require.NotContains(t, out.String(), "API_MAX_IN_FLIGHT")
}
