package testkit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// Postgres returns the URL of a database with the migrations applied that is
// this test's own, and drops it when the test ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	server := environment(tb, "DATABASE_URL")
	from, err := template()
	require.NoError(tb, err)
	name := "test_" + strings.ToLower(rand.Text()[:16])
	// The default strategy, and not FILE_COPY, which is no faster here and whose
	// checkpoints would disturb the tests that run at the same time.
	require.NoError(tb, stores.Execute(tb.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+from))
	afterTest(tb, func(ctx context.Context) error {
		return stores.Execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	own, err := inDatabase(server, name)
	require.NoError(tb, err)
	return own
}

// template is the database that others are copies of. It is made if no test of any
// package has done so yet. Its name says which migrations it holds, so that an edit
// of one makes a new template.
var template = sync.OnceValues(func() (string, error) {
	digest, err := migrationsDigest()
	if err != nil {
		return "", fmt.Errorf("name the template database: %w", err)
	}
	name := "template_" + digest
	if err := buildTemplate(context.Background(), os.Getenv("DATABASE_URL"), name); err != nil {
		return "", fmt.Errorf("make the template database: %w", err)
	}
	return name, nil
})

// buildTemplate is safe across processes: one of them builds, under a lock that its
// connection has, and the template gets its name only once it is whole.
func buildTemplate(ctx context.Context, server, name string) (err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(crc32.ChecksumIEEE([]byte(name)))); err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if there || err != nil {
		return err
	}
	draft := name + "_draft"
	url, err := inDatabase(server, draft)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return stores.Execute(ctx, server, "DROP DATABASE IF EXISTS "+draft+" WITH (FORCE)") },
		func() error { return stores.Execute(ctx, server, "CREATE DATABASE "+draft) },
		func() error { return migrations.Up(url) },
		func() error { return stores.Execute(ctx, server, "ALTER DATABASE "+draft+" RENAME TO "+name) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// migrationsDigest fingerprints the migrations.
func migrationsDigest() (string, error) {
	names, err := fs.Glob(migrations.Files(), "*.sql")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, name := range names {
		content, err := fs.ReadFile(migrations.Files(), name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

func inDatabase(server, database string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return "", errors.New("DATABASE_URL is not a URL, want postgres://") // its text may hold a password
	}
	parsed.Path = "/" + database
	return parsed.String(), nil
}
